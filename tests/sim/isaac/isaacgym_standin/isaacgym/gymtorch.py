"""Tensors in and out."""

import weakref
from typing import Any


class Given:
    """What `unwrap_tensor` makes: it borrows the tensor's memory, and keeps nothing alive."""

    def __init__(self, tensor: Any) -> None:
        assert tensor.is_contiguous(), "Isaac Gym reads memory, not strides"
        self.reference, self.memory = weakref.ref(tensor), tensor.untyped_storage().data_ptr()

    def tensor(self) -> Any:
        """The tensor, which must be there still."""
        tensor = self.reference()
        assert tensor is not None, "a tensor that Isaac Gym was given is gone"
        return tensor


def unwrap_tensor(tensor: Any) -> Given:
    return Given(tensor)


def wrap_tensor(acquired: Any) -> Any:
    return acquired.tensor
