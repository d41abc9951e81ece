"""Where data come from: archives of package registries, their cache, decoding, and checks of what was read.

Tasks are made of this; nothing here knows a task. Importing any module is cheap: heavy libraries are imported inside
function bodies.
"""
