"""Tasks as a backbone sees them: texts as the token numbers of its tokeniser, pictures as they are."""

from __future__ import annotations

import functools
from dataclasses import replace

from harness.backbones.base import Backbone
from harness.backbones.pretrained import Pretrained
from harness.backbones.transformers_text import TextBackbone
from harness.errors import HarnessError
from harness.tasks.base import Split, Task, TaskSet


@functools.lru_cache(maxsize=4096)
def seen_by(task: Task, backbone: Backbone) -> Task:
    """Return the task as `backbone` reads it, under the same name, so that seeds choose the same examples.

    Raises HarnessError when the backbone cannot read it: texts without a tokeniser, pictures of another size.
    """
    if not isinstance(backbone, TextBackbone):
        if not task.input_shape:
            raise HarnessError(f"{task.name} has texts, which {backbone.name} cannot read")
        if isinstance(backbone, Pretrained):
            backbone.check(task.input_shape)
        return task
    if task.input_shape:
        backbone.check(task.input_shape)
        return task
    return replace(
        task,
        input_shape=(backbone.length,),
        data={"of": dict(task.identity()), "tokens_of": dict(backbone.identity())},
        load=functools.partial(load_tokens, task, backbone),
        code=(*task.modules(), *backbone.modules(), __name__),
    )


def all_seen_by(tasks: TaskSet, backbone: Backbone) -> TaskSet:
    """Return a set of tasks as `backbone` reads them."""
    return TaskSet(tuple(seen_by(task, backbone) for task in tasks.tasks))


def load_tokens(task: Task, backbone: TextBackbone, split: str) -> Split:
    """Load one split of a task of texts as token numbers [n, backbone.length] int32."""
    whole = task.split(split)
    texts = [str(text) for text in whole.inputs[:]]
    return Split(backbone.encode(texts, backbone.length).int(), whole.labels)
