"""HTTP in and out: the service's paths, bodies, answers and errors. The only asynchronous code of the package.

Wire names live here and in ``render``; what goes further down are the nouns of ``types``. ``app`` composes the routes.
"""
