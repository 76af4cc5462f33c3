"""What attackers try, against the live firewall, seen from outside it: frames go in, and what comes out is looked at.

Attacks are declared as data, a family a file; `families` collects them, `harness` carries them out, `page` tells.
"""
