"""Tests that operators write of their own policies: connections, and what must become of them."""
