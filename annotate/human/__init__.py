"""Human baselines: blinded questions about a built dataset's pictures, asked in Label Studio."""
