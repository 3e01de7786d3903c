"""The documented call forms as data, and what replays them against any server: ours, the cloud's, another one.

``cases/*.json`` hold the calls and what their answers must be like, ``cases.py`` reads them, ``checks.py`` is the
vocabulary of expectations, ``replay.py`` sends and compares. Nothing here knows the server from inside.
"""
