"""Photos that show one scene: the groups that tables name, joined where near-duplicates link them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from figureground.schemas.records import LINKED
from figureground.schemas.store.workspace import Workspace


def joined_groups(workspace: Workspace) -> dict[str, str]:
    """Image id to its group, of every photo that is in one.

    A named group stays as it is where nothing links it to other photos. What is linked, directly or through others,
    with all photos of the named groups in it, is one group, named after its smallest image id.
    """
    named, links = workspace.groups(), workspace.links()
    if not links:
        return named
    from scipy.sparse import csr_array  # type: ignore[import-untyped]  # takes a quarter of a second to load
    from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]  # likewise

    members = {image_id for pair in links for image_id in pair} | named.keys()
    scene_of = {
        image.image_id: (image.source, named[image.image_id]) for image in workspace.images() if image.image_id in named
    }
    nodes = {node: number for number, node in enumerate([*sorted(members), *sorted(set(scene_of.values()))])}
    ties = [*links, *scene_of.items()]
    rows, columns = [nodes[one] for one, _ in ties], [nodes[other] for _, other in ties]
    size = (len(nodes), len(nodes))
    _, labels = connected_components(
        csr_array((np.ones(len(ties), np.int8), (rows, columns)), shape=size), directed=False
    )
    joined: dict[int, list[str]] = defaultdict(list)
    for image_id in sorted(members):
        joined[int(labels[nodes[image_id]])].append(image_id)
    groups = dict(named)
    for own in joined.values():
        if len({scene_of.get(image_id) for image_id in own}) > 1 or own[0] not in named:
            groups.update(dict.fromkeys(own, f"{LINKED}{own[0]}"))
    return groups
