-- What the programs read, and the triggers that tell them of changes.
--
-- An application with its own tables defines these views itself, with these columns: names, order and
-- types are the contract. Rows a user deleted are not in them. Columns only metrics of later
-- versions or lists read may be NULL throughout.

CREATE OR REPLACE VIEW pnlcache.stock_trades AS
SELECT user_id, id, symbol, trade_type, number_shares, entry_price, exit_price, entry_date, exit_date,
       commissions, fees, stop_loss, initial_risk, take_profit, profit_target, intended_entry_price,
       mistakes, brokerage_name, order_type, initial_target, trade_ratings, reviewed, created_at, updated_at
FROM public.stocks
WHERE NOT is_deleted;

CREATE OR REPLACE VIEW pnlcache.option_trades AS
SELECT user_id, id, symbol, side, option_type, number_of_contracts, multiplier, entry_price, exit_price,
       entry_date, exit_date, status, strike_price, expiration_date, strategy_type, trade_direction,
       commissions, fees, stop_loss, initial_risk, take_profit, profit_target, intended_entry_price,
       implied_volatility, mistakes, brokerage_name, order_type, initial_target, total_premium,
       trade_ratings, reviewed, created_at, updated_at
FROM public.options
WHERE NOT is_deleted;

-- A user without a row has the defaults.
CREATE OR REPLACE VIEW pnlcache.account_settings AS
SELECT user_id, timezone, trading_day_start, week_start, starting_equity, risk_free_rate, market_holidays, currency
FROM public.account_settings;

-- Playbooks, tags and prices. `rules` is the number of a playbook's rules.
CREATE OR REPLACE VIEW pnlcache.playbooks AS
SELECT user_id, id, name,
       (SELECT count(*)::integer FROM public.playbook_rules AS r WHERE r.user_id = p.user_id AND r.playbook_id = p.id) AS rules
FROM public.playbook AS p;

-- One row per trade and playbook, with the number of the playbook's rules that the trade has an answer for, and of
-- those the followed ones. (Sub-selects, not a join: who does not ask for the counts does not pay for them.)
CREATE OR REPLACE VIEW pnlcache.trade_playbooks AS
SELECT user_id, false AS is_option, stock_trade_id AS trade_id, setup_id AS playbook_id,
       (SELECT count(*)::integer FROM public.stock_trade_rule_compliance AS c
        WHERE c.user_id = l.user_id AND c.stock_trade_id = l.stock_trade_id AND c.playbook_id = l.setup_id) AS rules_recorded,
       (SELECT count(*)::integer FROM public.stock_trade_rule_compliance AS c
        WHERE c.user_id = l.user_id AND c.stock_trade_id = l.stock_trade_id AND c.playbook_id = l.setup_id AND c.is_followed) AS rules_followed
FROM public.stock_trade_playbook AS l
UNION ALL
SELECT user_id, true, option_trade_id, setup_id,
       (SELECT count(*)::integer FROM public.option_trade_rule_compliance AS c
        WHERE c.user_id = l.user_id AND c.option_trade_id = l.option_trade_id AND c.playbook_id = l.setup_id),
       (SELECT count(*)::integer FROM public.option_trade_rule_compliance AS c
        WHERE c.user_id = l.user_id AND c.option_trade_id = l.option_trade_id AND c.playbook_id = l.setup_id AND c.is_followed)
FROM public.option_trade_playbook AS l;

-- One row per trade and tag.
CREATE OR REPLACE VIEW pnlcache.trade_tags AS
SELECT l.user_id, false AS is_option, l.stock_trade_id AS trade_id, t.id AS tag_id, t.category, t.name
FROM public.stock_trade_tags AS l JOIN public.trade_tags AS t ON t.user_id = l.user_id AND t.id = l.tag_id
UNION ALL
SELECT l.user_id, true, l.option_trade_id, t.id, t.category, t.name
FROM public.option_trade_tags AS l JOIN public.trade_tags AS t ON t.user_id = l.user_id AND t.id = l.tag_id;

CREATE OR REPLACE VIEW pnlcache.missed_trades AS
SELECT user_id, playbook_id, id, opportunity_date
FROM public.missed_trades;

-- Shares: expiration_date, option_type and strike_price are NULL.
CREATE OR REPLACE VIEW pnlcache.latest_prices AS
SELECT symbol, expiration_date, option_type, strike_price, price, observed_at
FROM public.latest_price;

GRANT SELECT ON pnlcache.stock_trades, pnlcache.option_trades, pnlcache.account_settings, pnlcache.playbooks,
    pnlcache.trade_playbooks, pnlcache.trade_tags, pnlcache.missed_trades, pnlcache.latest_prices TO pnlcache;

CALL pnlcache.watch_table('public.stocks', 'stocks');
CALL pnlcache.watch_table('public.options', 'options');
CALL pnlcache.watch_table('public.account_settings', 'settings');
CALL pnlcache.watch_table('public.daily_bars', 'prices', NULL);
CALL pnlcache.watch_table('public.latest_price', 'prices', NULL);
CALL pnlcache.watch_table('public.playbook', 'playbooks');
CALL pnlcache.watch_table('public.playbook_rules', 'playbooks');
CALL pnlcache.watch_table('public.stock_trade_playbook', 'playbooks');
CALL pnlcache.watch_table('public.option_trade_playbook', 'playbooks');
CALL pnlcache.watch_table('public.stock_trade_rule_compliance', 'playbooks');
CALL pnlcache.watch_table('public.option_trade_rule_compliance', 'playbooks');
CALL pnlcache.watch_table('public.missed_trades', 'playbooks');
CALL pnlcache.watch_table('public.trade_tags', 'tags');
CALL pnlcache.watch_table('public.stock_trade_tags', 'tags');
CALL pnlcache.watch_table('public.option_trade_tags', 'tags');
