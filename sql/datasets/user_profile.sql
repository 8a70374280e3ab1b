-- name: user-profile
-- path: /api/user/profile
-- scope: user
-- ttl: 3600
-- tags: settings, profile
-- returns: row

-- A user without rows has the defaults of the settings.
SELECT p.display_name, p.nickname, p.profile_picture_uuid, p.trading_experience_level, p.primary_trading_goal, p.asset_types, p.trading_style,
       coalesce(s.timezone, 'America/New_York') AS timezone, coalesce(s.currency, 'USD') AS currency,
       coalesce(s.trading_day_start, 0) AS trading_day_start, coalesce(s.week_start, 'sunday') AS week_start, s.starting_equity,
       coalesce(s.risk_free_rate, 0.02) AS risk_free_rate, coalesce(s.market_holidays, '{}') AS market_holidays, p.created_at, p.updated_at
FROM (SELECT :user AS user_id) AS u
LEFT JOIN pnlcache.user_profile AS p ON p.user_id = u.user_id
LEFT JOIN pnlcache.account_settings AS s ON s.user_id = u.user_id
