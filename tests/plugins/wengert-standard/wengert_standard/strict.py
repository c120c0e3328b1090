"""The reference namespace of the array API standard as a device."""

import array_api_strict

from wengert_xp.standard import StandardModule


class Strict(StandardModule):
    name = "strict"
    namespace = array_api_strict
