"""The foundation of every other package, of which it imports none.

- ``streams``: named random streams, the only source of randomness.
- ``compute``, ``compilation``, ``parallel``: device, precision, ``torch.compile`` and worker threads.
- ``errors``: :class:`~potstill.runtime.errors.UserError`, a problem with its remedy.
- ``files``, ``safetensors_io``, ``events``: files that are whole or absent, and the event record of a run; the
  environment variables that Potstill reads are in ``files``.
- ``progress``: how long-running work reports its progress.
- ``machine``: what a result was measured on.
"""
