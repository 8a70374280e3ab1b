-- What the datasets of the notebook read, and the triggers. Rows a user deleted are not in the views.

CREATE OR REPLACE VIEW pnlcache.trade_notes AS
SELECT user_id, id, name, content, trade_type, stock_trade_id, option_trade_id, ai_metadata, created_at, updated_at
FROM public.trade_notes;

CREATE OR REPLACE VIEW pnlcache.images AS
SELECT user_id, id, trade_note_id, uploadcare_file_id, original_filename, mime_type, file_size, width, height, alt_text, caption,
       position_in_note, created_at, updated_at
FROM public.images
WHERE NOT is_deleted;

CREATE OR REPLACE VIEW pnlcache.notebook_notes AS
SELECT user_id, id, parent_id, title, content, position,
       ARRAY(SELECT t.tag_id FROM public.notebook_note_tags AS t WHERE t.user_id = n.user_id AND t.note_id = n.id ORDER BY t.tag_id) AS tag_ids,
       created_at, updated_at
FROM public.notebook_notes AS n
WHERE NOT is_deleted;

CREATE OR REPLACE VIEW pnlcache.notebook_tags AS
SELECT user_id, id, name, color, created_at, updated_at
FROM public.notebook_tags;

CREATE OR REPLACE VIEW pnlcache.notebook_templates AS
SELECT user_id, id, name, content, description, created_at, updated_at
FROM public.notebook_templates;

CREATE OR REPLACE VIEW pnlcache.notebook_reminders AS
SELECT r.user_id, r.id, r.note_id, r.title, r.description, r.reminder_time, r.is_completed, r.created_at, r.updated_at
FROM public.notebook_reminders AS r
JOIN public.notebook_notes AS n ON n.user_id = r.user_id AND n.id = r.note_id AND NOT n.is_deleted;

-- The user's own events and those of connected calendars, on the dates and at the times of day where the user lives.
CREATE OR REPLACE VIEW pnlcache.calendar_events AS
SELECT user_id, id, 'notebook'::text COLLATE "C" AS source, reminder_id, NULL::bigint AS connection_id, NULL::text AS external_event_id,
       event_title, event_description, start_date, end_date, start_time::text COLLATE "C" AS start_time, end_time::text AS end_time,
       is_all_day, is_synced, NULL::text AS location, created_at, updated_at
FROM public.calendar_events
UNION ALL
SELECT e.user_id, e.id, c.provider, NULL, e.connection_id, e.external_event_id, e.title, e.description, l.starts::date, l.ends::date,
       l.starts::time::text, l.ends::time::text, false, true, e.location, e.last_synced_at, coalesce(e.external_updated_at, e.last_synced_at)
FROM public.external_calendar_events AS e
JOIN public.external_calendar_connections AS c ON c.user_id = e.user_id AND c.id = e.connection_id AND c.is_active
LEFT JOIN public.account_settings AS s ON s.user_id = e.user_id
CROSS JOIN LATERAL (SELECT e.start_time AT TIME ZONE coalesce(s.timezone, 'America/New_York') AS starts,
                           e.end_time AT TIME ZONE coalesce(s.timezone, 'America/New_York') AS ends) AS l;

CREATE OR REPLACE VIEW pnlcache.calendar_connections AS
SELECT user_id, id, provider, calendar_id, is_active, token_expiry, last_sync_timestamp, created_at, updated_at
FROM public.external_calendar_connections;

-- With the rules in the order the trader gave them.
CREATE OR REPLACE VIEW pnlcache.playbook_list AS
SELECT user_id, id, name, description, icon, emoji, color,
       coalesce((SELECT json_agg(json_build_object('id', r.id, 'rule_type', r.rule_type, 'title', r.title, 'description', r.description,
                                                   'order_position', r.order_position) ORDER BY r.order_position, r.id)
                 FROM public.playbook_rules AS r WHERE r.user_id = p.user_id AND r.playbook_id = p.id), '[]'::json) AS rules,
       created_at, updated_at
FROM public.playbook AS p;

CREATE OR REPLACE VIEW pnlcache.user_profile AS
SELECT user_id, display_name, nickname, profile_picture_uuid, trading_experience_level, primary_trading_goal, asset_types, trading_style,
       created_at, updated_at
FROM public.user_profile;

GRANT SELECT ON pnlcache.trade_notes, pnlcache.images, pnlcache.notebook_notes, pnlcache.notebook_tags, pnlcache.notebook_templates,
    pnlcache.notebook_reminders, pnlcache.calendar_events, pnlcache.calendar_connections, pnlcache.playbook_list,
    pnlcache.user_profile TO pnlcache;

CALL pnlcache.watch_table('public.trade_notes', 'notes');
CALL pnlcache.watch_table('public.images', 'images');
CALL pnlcache.watch_table('public.notebook_notes', 'notebook');
CALL pnlcache.watch_table('public.notebook_tags', 'notebook');
CALL pnlcache.watch_table('public.notebook_note_tags', 'notebook');
CALL pnlcache.watch_table('public.notebook_templates', 'notebook');
CALL pnlcache.watch_table('public.notebook_reminders', 'notebook');
CALL pnlcache.watch_table('public.calendar_events', 'calendar');
CALL pnlcache.watch_table('public.external_calendar_connections', 'calendar');
CALL pnlcache.watch_table('public.external_calendar_events', 'calendar');
CALL pnlcache.watch_table('public.user_profile', 'profile');
