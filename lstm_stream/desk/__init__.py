"""What people are told and what they ask for: between the parts of the daemon and the API of outputs/web."""
