"""Which cue does a predictor of trajectories really use?"""
