"""Accelerators that need not be there: what is published of them, and their compilers."""

import importlib.util
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
from jax.experimental import topologies

ChipName = Literal["v5e", "v6e", "h100"]

# What the compiler asks about a GPU that is not there: an H100 SXM with 80 GB.
_H100 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 12 }
gpu_device_info {
  name: "NVIDIA H100 80GB HBM3"
  device_vendor: "NVIDIA Corporation"
  cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  device_memory_size: 84942979072
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  threads_per_warp: 32
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  driver_version: "13.0.0"
  runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0"
  dnn_version: "9.12.0"
}
"""


class Chip(NamedTuple):
    """A kind of accelerator.

    Attributes:
        title: as pages name it.
        compiler: the module that compiles for it.
        topology: the smallest arrangement of TPUs that its compiler knows; "" for a GPU.
        flops: published peak, bfloat16 FLOP/s without sparsity.
        bandwidth: published, bytes/s of the device's memory.
        memory: bytes of it.
        source: of these figures.
    """

    title: str
    compiler: str
    topology: str
    flops: float
    bandwidth: float
    memory: float
    source: str

    @property
    def is_installed(self) -> bool:
        """Whether its compiler is."""
        return importlib.util.find_spec(self.compiler) is not None

    def devices(self, count: int) -> Sequence[jax.Device]:
        """So many of them, to compile for.

        Only one process of a machine at a time may ask for TPUs: libtpu holds a lock.
        """
        if self.topology:
            described = topologies.get_topology_desc(self.topology, platform="tpu")
        else:
            described = topologies.get_topology_desc(
                platform="cuda", target_config=_H100, topology=f"1x1x{count}"
            )
        return list(described.devices[:count])


CHIPS: dict[ChipName, Chip] = {
    "v5e": Chip(
        *("TPU v5e", "libtpu", "v5e:2x2"),
        *(197e12, 819e9, 16e9),
        "https://docs.cloud.google.com/tpu/docs/v5e",
    ),
    "v6e": Chip(
        *("TPU v6e", "libtpu", "v6e:2x2"),
        *(918e12, 1638e9, 32e9),
        "https://docs.cloud.google.com/tpu/docs/v6e",
    ),
    "h100": Chip(
        *("H100 SXM", "jax_cuda13_plugin", ""),
        *(989e12, 3350e9, 80e9),
        "https://www.nvidia.com/en-us/data-center/h100/",
    ),
}
