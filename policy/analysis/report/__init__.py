"""The report for an auditor: `facts` gathers what is told, as plain values; `page` makes them one page of HTML."""
