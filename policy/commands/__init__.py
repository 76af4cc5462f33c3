"""The commands of `portcullis`, one file each, and what they share. `policy.cli` ties them together."""
