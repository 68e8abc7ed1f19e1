"""The table of params on the Plano API's own page of order_stages.create."""

# name | type | order | required, as on the page and in its order.
PAGE = """
order_id | integer | 1 |
order_request_id | integer | 2 |
update_status | boolean | 3 | required
stage | string | 4 | required
stage_trigger | string | 5 |
stage_at_mt | string | 6 |
created_at_mt | string | 7 |
created_by_id | integer | 8 |
created_by | string | 9 |
appointment | hash | 10 |
appointment.appt_id | integer | |
appointment.appt_confirmed | string | |
appointment.appt_duration_time | string | |
appointment.appt_start_at | string | |
appointment.appt_stop_at | string | |
appointment.cancel_reason | string | |
appointment.cancel_note | string | |
client | hash | 11 |
client.client_id | integer | |
client.client_billing_postal_code | integer | |
order | hash | 12 |
order.notes | string | |
order.delivery_rush | boolean | |
order.due_date | string | |
order.external_id | string | |
order.service_type | string | |
order.services_addon_array | array | |
order.cancel_reason | string | |
order.cancel_note | string | |
notes | string | 13 |
updated_by | string | 14 |
updated_by_id | integer | 15 |
notified_at_mt | string | 16 |
event_slug | string | 17 |
token | string | 100 | required
application_view | string | 110 |
application | string | 200 |
session_view | string | 300 |
"""
