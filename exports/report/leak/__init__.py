"""What the rim of a cut-out figure gives away: accuracy over the growth of the hole, and where it levels off."""
