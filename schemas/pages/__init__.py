"""What people are shown in Label Studio."""
