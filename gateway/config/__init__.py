"""The configuration: a YAML file and the environment in, checked `gateway.options` out.

Every mistake is found in one pass and told as `file:line:col: what is wrong and what would be
right`; nothing is ever half accepted, and no text here shows a secret. The steps: `reading` takes
values and places, `findings` judges each by the shape in `models`, and `checks` judges what lies
between them. `loading` takes them in this order; `description` tells a person what came out,
`reference` which keys there are.
"""

from gateway.config.description import describe
from gateway.config.loading import json_schema, load

__all__ = ["describe", "json_schema", "load"]
