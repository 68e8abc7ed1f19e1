-- A stage's client was told when the mail about it was sent, whoever sent it and whenever.

create function note_notified() returns trigger language plpgsql as $$
begin
    update order_stages set notified_at = new.sent_at
    where id = new.about_id and notified_at is null;
    return null;
end $$;

create trigger note_notified after update of state on gateway.outbox
    for each row when (new.state = 'sent' and new.about = 'order_stages')
    execute function note_notified();
