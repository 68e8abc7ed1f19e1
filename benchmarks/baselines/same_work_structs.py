"""The params of order_stages.create as msgspec structs; see schemas/order_stages."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

Integer = int | UnsetType
Text = str | UnsetType
Time = Annotated[str, Meta(min_length=1)] | UnsetType


class Appointment(Struct):
    """The params below `appointment`."""

    appt_id: Integer = UNSET
    appt_confirmed: Text = UNSET
    appt_duration_time: Text = UNSET
    appt_start_at: Text = UNSET
    appt_stop_at: Text = UNSET
    cancel_reason: Text = UNSET
    cancel_note: Text = UNSET


class Client(Struct):
    """The params below `client`."""

    client_id: Integer = UNSET
    client_billing_postal_code: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class Order(Struct):
    """The params below `order`."""

    notes: Text = UNSET
    delivery_rush: bool | UnsetType = UNSET
    due_date: Text = UNSET
    external_id: Text = UNSET
    service_type: Text = UNSET
    services_addon_array: list[Any] | UnsetType = UNSET
    cancel_reason: Text = UNSET
    cancel_note: Text = UNSET


class Stage(Struct, kw_only=True):
    """The params of order_stages.create."""

    order_id: Integer = UNSET
    order_request_id: Integer = UNSET
    update_status: bool
    stage: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
    stage_trigger: Text = UNSET
    stage_at_mt: Time = UNSET
    created_at_mt: Time = UNSET
    created_by_id: Integer = UNSET
    created_by: Text = UNSET
    appointment: Appointment | UnsetType = UNSET
    client: Client | UnsetType = UNSET
    order: Order | UnsetType = UNSET
    notes: Text = UNSET
    updated_by: Text = UNSET
    updated_by_id: Integer = UNSET
    notified_at_mt: Time = UNSET
    event_slug: Text = UNSET

    def __post_init__(self) -> None:
        """Require at least one of the two ids."""
        if self.order_id is UNSET and self.order_request_id is UNSET:
            raise ValueError("order_id or order_request_id is needed")


class Echoed(Struct):
    """The answer."""

    code: int
    status: str
    data: Stage


def answer(stage: Stage) -> Echoed:
    """The answer to a call."""
    return Echoed(code=200, status="action-successful", data=stage)
