"""The policy that `portcullis init` writes for somebody who has none yet."""
