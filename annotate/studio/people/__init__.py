"""Who is asked about which photo on a Label Studio server."""
