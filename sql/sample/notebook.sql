-- What the traders of generate.sql write beside their trades: notes on trades with pictures, the notebook, reminders, calendars, a
-- profile. Part of that file's transaction. What is written lies before :now; what is planned may lie after it.

-- One of the choices: draw number `draw` of the thing with this key.
CREATE FUNCTION pg_temp.pick(key bigint, draw bigint, choices text[]) RETURNS text IMMUTABLE LANGUAGE sql AS
$$ SELECT choices[1 + floor(cardinality(choices) * pg_temp.uniform(key, draw))::int] $$;

CREATE FUNCTION pg_temp.picture_id(key bigint) RETURNS text IMMUTABLE LANGUAGE sql AS
$$ SELECT md5('picture ' || key)::uuid::text $$;

DELETE FROM trade_notes WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM notebook_notes WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM notebook_tags WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM notebook_templates WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM calendar_events WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM external_calendar_connections WHERE user_id IN (SELECT user_id FROM traders);
DELETE FROM user_profile WHERE user_id IN (SELECT user_id FROM traders);

INSERT INTO user_profile (user_id, display_name, nickname, profile_picture_uuid, trading_experience_level, primary_trading_goal, asset_types,
                          trading_style, created_at, updated_at)
SELECT user_id, p.display_name, p.nickname, pg_temp.picture_id(number), p.experience, p.goal, p.assets, p.style, since, since
FROM traders JOIN (VALUES
    ('beginner', 'Robin Field', 'Robin', 'beginner', 'learn to keep to a plan', 'stocks,crypto', 'swing'),
    ('active', 'Alex Moreno', NULL, 'intermediate', 'a second income', 'stocks,options,crypto', 'day'),
    ('whale', 'Kim Lindqvist', 'KL', 'professional', 'grow the fund', 'stocks,crypto', 'day')
) AS p (user_id, display_name, nickname, experience, goal, assets, style) USING (user_id)
CROSS JOIN LATERAL (SELECT now - days * interval '1 day' AS since FROM clock) AS c;

-- --- notes on trades, and their pictures ------------------------------------------------------------------

-- Written when the trade is over, or, while it is open, at its entry.
CREATE TEMP TABLE noted ON COMMIT DROP AS
SELECT user_id, key, row_number() OVER (PARTITION BY user_id ORDER BY t.written, is_option, trade_id) AS id, is_option, trade_id, symbol,
       long, won, least(t.written + pg_temp.uniform(key, 401) * interval '3 hours', clock.now)::timestamptz(0) AS written
FROM clock, (
    SELECT user_id, number * 10000000 + id AS key, false AS is_option, id AS trade_id, symbol, trade_type = 'BUY' AS long,
           (exit_price > entry_price) = (trade_type = 'BUY') AS won, coalesce(exit_date, entry_date) AS written,
           CASE user_id WHEN 'beginner' THEN 0.4 ELSE least(0.12, 400.0 / trades) END AS share
    FROM stocks JOIN traders USING (user_id) WHERE NOT is_deleted
    UNION ALL
    SELECT user_id, 70000000 + id, true, id, symbol, side = 'long', (coalesce(exit_price, 0) > entry_price) = (side = 'long'),
           coalesce(exit_date, entry_date), 0.15
    FROM options JOIN traders USING (user_id)
) AS t
WHERE pg_temp.uniform(key, 400) < share;

INSERT INTO trade_notes (user_id, id, name, content, trade_type, stock_trade_id, option_trade_id, created_at, updated_at)
SELECT user_id, id, symbol || CASE WHEN long THEN ' long' ELSE ' short' END || to_char(written, ', Mon FMDD'),
       concat_ws(E'\n\n',
           pg_temp.pick(key, 402, ARRAY[
               'Plan: the level from yesterday, stop right behind it.', 'Plan: wait for the pullback, half size first.',
               'No plan to speak of; it looked good on the five-minute chart.', 'Plan: the sector is strong, this is the laggard.',
               'Plan: the range of the first half hour, in the direction of the break.']),
           CASE WHEN won IS NULL THEN 'Still on.'
                WHEN won THEN pg_temp.pick(key, 403, ARRAY[
                    'Worked from the first minute.', 'Took half at the first target, trailed the rest.',
                    'Nearly stopped out, then it ran.', 'Out too early, but in the plan.'])
                ELSE pg_temp.pick(key, 404, ARRAY[
                    'Stopped out where the plan said.', 'Moved the stop once. It cost more than the first loss.',
                    'Never came back after the entry.', 'Right idea, a day too early.']) END,
           CASE WHEN pg_temp.uniform(key, 405) < 0.5 THEN 'Next time: ' || pg_temp.pick(key, 406, ARRAY[
               'smaller.', 'the same again.', 'wait for the close of the bar.', 'not on a Friday afternoon.', 'write the plan down first.']) END),
       CASE WHEN is_option THEN 'option' ELSE 'stock' END, CASE WHEN NOT is_option THEN trade_id END, CASE WHEN is_option THEN trade_id END,
       written, least(written + CASE WHEN pg_temp.uniform(key, 407) < 0.2 THEN pg_temp.uniform(key, 408) * interval '5 days' ELSE '0' END,
                      (SELECT now FROM clock))::timestamptz(0)
FROM noted;

-- One note in three has a chart or two; a few were taken out again.
INSERT INTO images (user_id, id, trade_note_id, uploadcare_file_id, original_filename, mime_type, file_size, width, height, alt_text, caption,
                    position_in_note, is_deleted, created_at, updated_at)
SELECT user_id, 2 * id + n - 2, id, pg_temp.picture_id(key * 4 + n), lower(symbol) || to_char(written, '-YYYY-MM-DD-') || frame || '.' || type,
       'image/' || type, 40000 + floor(600000 * pg_temp.uniform(key, 410 + n))::bigint, 1920, 1080, symbol || ', ' || frame || ' bars',
       CASE WHEN pg_temp.uniform(key, 420 + n) < 0.4
            THEN pg_temp.pick(key, 430 + n, ARRAY['Entry', 'Entry and exit', 'The level', 'What I saw too late']) END,
       n, pg_temp.uniform(key, 440 + n) < 0.04, written, written
FROM noted
CROSS JOIN LATERAL (SELECT pg_temp.uniform(key, 409) AS draw) AS d
CROSS JOIN LATERAL generate_series(1, CASE WHEN draw < 0.1 THEN 2 WHEN draw < 0.33 THEN 1 ELSE 0 END) AS n
CROSS JOIN LATERAL (SELECT pg_temp.pick(key, 450 + n, ARRAY['5-minute', '15-minute', 'hourly', 'daily']) AS frame,
                           pg_temp.pick(key, 460 + n, ARRAY['png', 'png', 'png', 'jpeg']) AS type) AS f;

-- --- the notebook -----------------------------------------------------------------------------------------

INSERT INTO notebook_tags (user_id, id, name, color, created_at, updated_at)
SELECT user_id, id, name, color, since, since
FROM traders CROSS JOIN LATERAL (SELECT now - days * interval '1 day' AS since FROM clock) AS c,
     (VALUES (1, 'review', '#4f7cac'), (2, 'plan', '#5aa469'), (3, 'lesson', '#d9a441'), (4, 'psychology', '#a05195')) AS t (id, name, color);

INSERT INTO notebook_templates (user_id, id, name, content, description, created_at, updated_at)
SELECT user_id, id, name, content, description, since + id * interval '1 minute', since + id * interval '1 minute'
FROM traders CROSS JOIN LATERAL (SELECT now - days * interval '1 day' AS since FROM clock) AS c, (VALUES
    (1, 'Trade plan', E'Symbol:\nWhy now:\nEntry, stop, target:\nWhat proves me wrong:', 'before every trade'),
    (2, 'Daily review', E'Followed the plan:\nBest decision:\nWorst decision:\nTomorrow:', NULL),
    (3, 'Weekly review', E'Result in R:\nWhat worked:\nWhat did not:\nOne thing to change:', 'on Sundays')
) AS t (id, name, content, description);

-- Four folders, with fixed notes and a weekly review for each of up to 60 past weeks in them.
CREATE TEMP TABLE pages ON COMMIT DROP AS
SELECT user_id, number, f.id, NULL::bigint AS parent_id, f.title, f.content, f.position, f.tag, since AS written
FROM traders CROSS JOIN LATERAL (SELECT now - days * interval '1 day' AS since FROM clock) AS c, (VALUES
    (1, 'Trading plan', 'What I trade, when, and how much of it.', 1, 2), (2, 'Weekly reviews', '', 2, 1),
    (3, 'Lessons', 'Paid for already.', 3, 3), (4, 'Ideas', '', 4, NULL)) AS f (id, title, content, position, tag)
UNION ALL
SELECT user_id, number, 10 + n.id, n.parent_id, n.title, n.content, n.id, n.tag,
       since + (clock.now - since) * pg_temp.uniform(number, 500 + n.id)
FROM clock, traders CROSS JOIN LATERAL (SELECT now - days * interval '1 day' AS since FROM clock) AS c, (VALUES
    (1, 1, 'Rules', E'1. No trade without a stop.\n2. Risk at most 1 % of the account.\n3. Three losses in a row: done for the day.', 2),
    (2, 1, 'Goals of the year', E'Profit factor over 1.4.\nEvery trade has a playbook.', 2),
    (3, 3, 'A stop is moved once, in one direction', 'Every loss over 2 R this year began with a stop that was moved away.', 3),
    (4, 3, 'The first loss is the cheapest', 'Adding to a loser has paid twice and cost eleven times.', 4),
    (5, 4, 'Fade gaps into earnings?', 'Look at the last eight quarters first.', NULL),
    (6, 4, 'Half size on Mondays', 'The first session of the week is my worst. Try four weeks.', NULL)
) AS n (id, parent_id, title, content, tag)
UNION ALL
SELECT user_id, number, 100 + w.weeks_ago, 2, 'Week of ' || to_char(w.sunday - 6, 'FMMonth FMDD, YYYY'),
       concat_ws(' ', pg_temp.pick(w.key, 510, ARRAY['A quiet week.', 'Good until Thursday.', 'Overtraded.', 'The plan worked.']),
                 pg_temp.pick(w.key, 511, ARRAY['Best: waited for the pullback.', 'Best: took the stop at once.', 'Best: no trade on Friday.']),
                 pg_temp.pick(w.key, 512, ARRAY['To change: size.', 'To change: fewer symbols.', 'To change: no trades before ten.'])),
       w.weeks_ago, 1, w.sunday + time '19:30'
FROM clock CROSS JOIN traders
CROSS JOIN LATERAL (SELECT weeks_ago, number * 1000 + weeks_ago AS key, today - extract(dow FROM today)::int - 7 * weeks_ago AS sunday
                    FROM generate_series(1, least(days / 7, 60)) AS weeks_ago) AS w
WHERE pg_temp.uniform(w.key, 513) < 0.9;

INSERT INTO notebook_notes (user_id, id, parent_id, title, content, position, created_at, updated_at)
SELECT user_id, id, parent_id, title, content, position, written::timestamptz(0), written::timestamptz(0) FROM pages;
INSERT INTO notebook_note_tags (user_id, note_id, tag_id) SELECT user_id, id, tag FROM pages WHERE tag IS NOT NULL;

-- --- reminders and calendars ------------------------------------------------------------------------------

-- The weekly review of six Sunday evenings, this week's and the next among them, in the notebook's calendar too.
INSERT INTO notebook_reminders (user_id, id, note_id, title, reminder_time, is_completed, created_at, updated_at)
SELECT user_id, 5 - week AS id, 2, 'Weekly review', sunday + time '18:00', sunday + time '18:00' < clock.now::timestamp,
       least(clock.now, sunday - 7 + time '18:00')::timestamptz(0), least(clock.now, sunday + time '19:30')::timestamptz(0)
FROM clock CROSS JOIN traders
CROSS JOIN LATERAL (SELECT week, today - extract(dow FROM today)::int - 7 * week AS sunday FROM generate_series(-1, 4) AS week) AS w;
INSERT INTO calendar_events (user_id, id, reminder_id, event_title, start_date, end_date, start_time, end_time, created_at, updated_at)
SELECT user_id, id, id, title, reminder_time::date, reminder_time::date, reminder_time::time, reminder_time::time + interval '1 hour', created_at, updated_at
FROM notebook_reminders JOIN traders USING (user_id);

-- Expirations of monthly options, on third Fridays, around today.
INSERT INTO calendar_events (user_id, id, event_title, event_description, start_date, end_date, is_all_day, created_at, updated_at)
SELECT user_id, 20 + n, 'Monthly options expire', CASE WHEN n = 4 THEN 'Roll or close by noon.' END, day, day, true,
       now - interval '120 days', now - interval '120 days'
FROM clock CROSS JOIN traders CROSS JOIN generate_series(1, 6) AS n
CROSS JOIN LATERAL (SELECT pg_temp.weekday_from((date_trunc('month', today) + (n - 4) * interval '1 month')::date, 5) + 14 AS day) AS d;

-- One of them has connected a calendar, and another one once; the tokens are left out.
INSERT INTO external_calendar_connections (user_id, id, provider, calendar_id, is_active, last_sync_timestamp, created_at, updated_at)
SELECT 'active', id, provider, calendar_id, is_active, synced, synced - interval '200 days', synced
FROM clock, (VALUES
    (1, 'microsoft', 'alex@example.com', false, interval '90 days'), (2, 'google', 'alex.moreno@example.com', true, '7 minutes')
) AS c (id, provider, calendar_id, is_active, ago) CROSS JOIN LATERAL (SELECT now - ago AS synced) AS t;
INSERT INTO external_calendar_events (user_id, id, connection_id, external_event_id, title, start_time, end_time, location, last_synced_at)
SELECT 'active', row_number() OVER (ORDER BY day + starts), 2, md5(title || day), title, day + starts, day + starts + lasts, location,
       now - interval '7 minutes'
FROM clock CROSS JOIN generate_series(-5, 3) AS week, (VALUES
    ('Trading group', 2, time '20:00', interval '90 minutes', NULL, 1), ('Tennis', 6, '10:30', '1 hour', 'Club', 1),
    ('Call with the accountant', 3, '17:00', '30 minutes', NULL, 4), ('Dentist', 4, '08:30', '45 minutes', 'Main Street 12', 9)
) AS e (title, weekday, starts, lasts, location, every)
CROSS JOIN LATERAL (SELECT pg_temp.weekday_from(today + 7 * week, weekday) AS day) AS d
WHERE week % every = 0;
