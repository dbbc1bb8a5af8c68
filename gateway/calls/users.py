"""A user as Stream's answers and events show one. Pure.

Shape: UserResponse of GetStream/protocol; getstream warns of every field that is missing.
"""

from typing import Any


def user_object(
    user_id: str,
    at: str,
    *,
    role: str | None = None,
    name: str | None = None,
    image: str | None = None,
    custom: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return JSON content for a user of whom we know this much; `at`: RFC 3339."""
    said = {
        "id": user_id,
        "role": role or "user",
        "custom": custom or {},
        "teams": [],
        "language": "",
        "blocked_user_ids": [],
        "created_at": at,
        "updated_at": at,
    }
    told = {"name": name, "image": image}
    return said | {field: text for field, text in told.items() if text is not None}
