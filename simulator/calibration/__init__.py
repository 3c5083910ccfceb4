"""What real customers do, measured and fitted: from the raw files of public data to moments and parameters.

`moments.real_moments(data)` gives the figures a world must reproduce, `moments.fit(data)` the parameters to start from.
Nothing here knows of the world that uses them.
"""
