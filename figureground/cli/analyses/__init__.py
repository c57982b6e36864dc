"""What the verbs of ``figureground analyze`` take."""
