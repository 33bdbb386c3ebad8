"""Archives that strangers send, unpacked within bounds and below one folder.

from ringfence import archives

    await archives.unpack_in_thread(upload.file, INBOX / upload_id)
"""

from ringfence.interpreters.archives.limits import Limits
from ringfence.interpreters.archives.unpack import unpack, unpack_in_thread

__all__ = ["Limits", "unpack", "unpack_in_thread"]
