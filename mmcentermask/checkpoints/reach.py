"""Asks whether a checkpoint can be had, without downloading it."""

from urllib.request import Request, build_opener

from .fetch import hub_client, place_in_cache
from .weights_table import find_row, split_hub_source

__all__ = ['unreachable']

_SECONDS = 5  # for a server to answer


def unreachable(name: str) -> str:
    """Say why a checkpoint cannot be had.

    Args:
        name (str): As for ``fetch``, but no local file.

    Returns:
        str: What is wrong with each of its sources; '' if one has the file, or a cache.
    """
    reasons = []
    for source in find_row(name)['sources']:
        address = source.partition('#')[0]
        try:
            if source.startswith('hf://'):
                _ask_hub(*split_hub_source(source))
            elif not place_in_cache(address).is_file():
                build_opener().open(Request(address, method='HEAD'), timeout=_SECONDS).close()
            return ''
        except Exception as error:  # the hub's client has many, and lets through those of what it is made of
            reasons.append(f'{address}: {(str(error) or type(error).__name__).splitlines()[0]}')
    return '; '.join(reasons)


def _ask_hub(repository: str, file: str, revision: str | None) -> None:
    hub = hub_client()
    if not isinstance(hub.try_to_load_from_cache(repository, file, revision=revision), str):
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, file, revision=revision), timeout=_SECONDS)
