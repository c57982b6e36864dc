"""How work is run: processes, Ray, files that appear whole, storage by URI, the Hub."""
