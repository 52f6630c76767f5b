"""Volumes on a machine without mount namespaces: folders of the pod, whose places are in its environment."""

from __future__ import annotations

import os
from pathlib import Path

from torpor.errors import InvalidInputError
from torpor.local.kubelet.environment import ConfigError, blobs
from torpor.local.kubelet.files import PodFiles, variable_of
from torpor.local.kubelet.machine import Host
from torpor.spec.kinds import Object
from torpor.spec.pod import DataVolume, EmptyDir, OtherVolume, PodSpec, Volume, VolumeItem

CLAIM = "persistentVolumeClaim"


async def make_volumes(pod: Object, spec: PodSpec, host: Host) -> None:
    """Make the folders of a pod's volumes; raises ConfigError where what they are made of is missing."""
    if not spec.volumes:
        return
    files = PodFiles(host.pods_dir, pod)
    data = [volume for volume in spec.volumes if isinstance(volume, DataVolume)]
    sources = await host.sources(pod["metadata"]["namespace"], {(each.holder, each.source) for each in data})
    made = [volume.name for volume in spec.volumes if not isinstance(volume, OtherVolume)]
    for volume in data:
        obj = sources[volume.holder, volume.source]
        if obj is None and not volume.optional:
            word = volume.holder.lower()
            raise ConfigError(f'for volume "{volume.name}": {word} "{volume.source}" not found')
        write_data(files.volume(volume.name), volume, {} if obj is None else blobs(volume.holder, obj))
    for empty in spec.volumes:
        if isinstance(empty, EmptyDir):
            files.volume(empty.name).mkdir(parents=True, exist_ok=True)
    _explain(pod, spec.volumes, made, host)


def _explain(pod: Object, volumes: tuple[Volume, ...], made: list[str], host: Host) -> None:
    """Say once per pod what a laptop does instead of mounting."""
    if made:
        places = ", ".join(f"{name}: ${variable_of(name)}" for name in made)
        text = f"A laptop cannot mount volumes at their mountPath; containers find them at {places}"
        host.recorder.emit(pod, "Normal", "VolumesNotMounted", text)
    others = [volume for volume in volumes if isinstance(volume, OtherVolume)]
    claims = [volume.name for volume in others if volume.type == CLAIM]
    if claims:
        text = f"A laptop cannot mount {', '.join(claims)}; claims are folders below $TORPOR_PVC_ROOT"
        host.recorder.emit(pod, "Normal", "VolumesNotMounted", text)
    unknown = [f"{volume.name} ({volume.type})" for volume in others if volume.type != CLAIM]
    if unknown:
        text = f"Volumes of these types are not made on a laptop: {', '.join(unknown)}"
        host.recorder.emit(pod, "Warning", "VolumesNotSupported", text)


def write_data(folder: Path, volume: DataVolume, data: dict[str, bytes]) -> None:
    """Write the keys of a ConfigMap or Secret as files; raises ConfigError for a key that is not there."""
    items = volume.items or tuple(VolumeItem(key, key) for key in data)
    folder.mkdir(parents=True, exist_ok=True)
    for item in items:
        if item.key not in data:
            if volume.optional:
                continue
            raise ConfigError(f'for volume "{volume.name}": references non-existent {volume.holder} key: {item.key}')
        target = folder / item.path
        if not target.resolve().is_relative_to(folder.resolve()):
            raise InvalidInputError("items.path", item.path, "a path inside the volume is needed")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        mode = volume.mode if volume.holder == "configMap" else volume.mode & 0o700  # secrets: for their owner
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data[item.key])
