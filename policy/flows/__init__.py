"""What is allowed, said in OpenFlow: values in, values out."""
