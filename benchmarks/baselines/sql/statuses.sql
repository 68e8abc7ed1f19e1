-- List a page of the statuses that were created after a time.
select id::text, uuid::text, name, url, color, send_mail, mail_template, change_type,
       to_char(created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as created_at,
       to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as updated_at
from statuses
where $1::timestamptz is null or created_at > $1
order by id
limit $2 offset $3
