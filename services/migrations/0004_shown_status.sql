-- A status as it is answered: every scalar a text, times in UTC and whole seconds.
-- Workers remember answers by the rows that they show, so that another form needs another function.

create type shown_status as (
    id            text,
    uuid          text,
    name          text,
    url           text,
    color         text,
    send_mail     text,
    mail_template text,
    change_type   text,
    created_at    text,
    updated_at    text
);

create function shown(s statuses) returns shown_status language sql stable
return (
    s.id::text, s.uuid::text, s.name, s.url, s.color, s.send_mail, s.mail_template, s.change_type,
    to_char(s.created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
    to_char(s.updated_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
)::shown_status;
