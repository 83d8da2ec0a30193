# The toy room can be imported only from the copy of the package that test_toy_room.py makes.
collect_ignore = ["toy"]
