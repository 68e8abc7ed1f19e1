"""Requests and answers of the FastAPI baseline as pydantic models; see schemas/order_stages."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    """Converts no JSON values: the string "12" is not an integer, as in the gateway."""

    model_config = ConfigDict(strict=True)


class Appointment(Strict):
    """The params below `appointment`."""

    appt_id: int | None = None
    appt_confirmed: str | None = None
    appt_duration_time: str | None = None
    appt_start_at: str | None = None
    appt_stop_at: str | None = None
    cancel_reason: str | None = None
    cancel_note: str | None = None


class Client(Strict):
    """The params below `client`."""

    client_id: int | None = None
    client_billing_postal_code: Annotated[int, Field(ge=0)] | None = None


class Order(Strict):
    """The params below `order`."""

    notes: str | None = None
    delivery_rush: bool | None = None
    due_date: str | None = None
    external_id: str | None = None
    service_type: str | None = None
    services_addon_array: list[Any] | None = None
    cancel_reason: str | None = None
    cancel_note: str | None = None


class Stage(Strict):
    """The params of order_stages.create."""

    order_id: int | None = None
    order_request_id: int | None = None
    update_status: bool
    stage: Annotated[str, Field(min_length=1, max_length=255, pattern=r"\S")]
    stage_trigger: str | None = None
    stage_at_mt: Annotated[datetime, Field(strict=False)] | None = None
    created_at_mt: Annotated[datetime, Field(strict=False)] | None = None
    created_by_id: int | None = None
    created_by: str | None = None
    appointment: Appointment = Appointment()
    client: Client = Client()
    order: Order = Order()
    notes: str | None = None
    updated_by: str | None = None
    updated_by_id: int | None = None
    notified_at_mt: Annotated[datetime, Field(strict=False)] | None = None
    event_slug: str | None = None

    @model_validator(mode="after")
    def names_an_order(self) -> Self:
        """Require at least one of the two ids."""
        if self.order_id is None and self.order_request_id is None:
            raise ValueError("order_id or order_request_id is needed")
        return self


class Rows(BaseModel):
    """Both written rows."""

    order_stage: dict[str, Any]
    order_status: dict[str, Any] | None


class Created(BaseModel):
    """The answer to order_stages.create."""

    code: int
    status: str
    data: Rows


class Status(BaseModel):
    """A status; every field is a string."""

    id: str
    uuid: str
    name: str
    url: str
    color: str
    send_mail: str
    mail_template: str
    change_type: str
    created_at: str
    updated_at: str


class Statuses(BaseModel):
    """The answer to a list of statuses."""

    statuses: list[Status]
