"""Does a switch hold exactly what the policy says? Read and compared here, without asking any controller."""
