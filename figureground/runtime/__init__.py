"""The running of work: processes, Ray, files that appear whole, storage by URI, the Hub."""
