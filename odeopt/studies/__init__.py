"""Studies: each takes optimizers and problems, computes, and returns frozen data. None draws."""
