-- What is known of the symbols of generate.sql, and the earnings of the companies among them. Part of that file's transaction.

DELETE FROM public.symbols WHERE symbol IN (SELECT symbol FROM pg_temp.symbols);
INSERT INTO public.symbols (symbol, name, kind, exchange, currency, sector, industry)
SELECT * FROM (VALUES
    ('AAPL', 'Apple Inc.', 'stock', 'NASDAQ', 'USD', 'Technology', 'Consumer Electronics'),
    ('MSFT', 'Microsoft Corporation', 'stock', 'NASDAQ', 'USD', 'Technology', 'Software'),
    ('NVDA', 'NVIDIA Corporation', 'stock', 'NASDAQ', 'USD', 'Technology', 'Semiconductors'),
    ('AMZN', 'Amazon.com, Inc.', 'stock', 'NASDAQ', 'USD', 'Consumer Cyclical', 'Internet Retail'),
    ('GOOGL', 'Alphabet Inc.', 'stock', 'NASDAQ', 'USD', 'Communication Services', 'Internet Content'),
    ('META', 'Meta Platforms, Inc.', 'stock', 'NASDAQ', 'USD', 'Communication Services', 'Internet Content'),
    ('TSLA', 'Tesla, Inc.', 'stock', 'NASDAQ', 'USD', 'Consumer Cyclical', 'Auto Manufacturers'),
    ('AMD', 'Advanced Micro Devices, Inc.', 'stock', 'NASDAQ', 'USD', 'Technology', 'Semiconductors'),
    ('NFLX', 'Netflix, Inc.', 'stock', 'NASDAQ', 'USD', 'Communication Services', 'Entertainment'),
    ('INTC', 'Intel Corporation', 'stock', 'NASDAQ', 'USD', 'Technology', 'Semiconductors'),
    ('JPM', 'JPMorgan Chase & Co.', 'stock', 'NYSE', 'USD', 'Financial Services', 'Banks'),
    ('BAC', 'Bank of America Corporation', 'stock', 'NYSE', 'USD', 'Financial Services', 'Banks'),
    ('XOM', 'Exxon Mobil Corporation', 'stock', 'NYSE', 'USD', 'Energy', 'Oil & Gas'),
    ('CVX', 'Chevron Corporation', 'stock', 'NYSE', 'USD', 'Energy', 'Oil & Gas'),
    ('KO', 'The Coca-Cola Company', 'stock', 'NYSE', 'USD', 'Consumer Defensive', 'Beverages'),
    ('PEP', 'PepsiCo, Inc.', 'stock', 'NASDAQ', 'USD', 'Consumer Defensive', 'Beverages'),
    ('DIS', 'The Walt Disney Company', 'stock', 'NYSE', 'USD', 'Communication Services', 'Entertainment'),
    ('BA', 'The Boeing Company', 'stock', 'NYSE', 'USD', 'Industrials', 'Aerospace & Defense'),
    ('F', 'Ford Motor Company', 'stock', 'NYSE', 'USD', 'Consumer Cyclical', 'Auto Manufacturers'),
    ('GM', 'General Motors Company', 'stock', 'NYSE', 'USD', 'Consumer Cyclical', 'Auto Manufacturers'),
    ('PLTR', 'Palantir Technologies Inc.', 'stock', 'NASDAQ', 'USD', 'Technology', 'Software'),
    ('COIN', 'Coinbase Global, Inc.', 'stock', 'NASDAQ', 'USD', 'Financial Services', 'Exchanges'),
    ('UBER', 'Uber Technologies, Inc.', 'stock', 'NYSE', 'USD', 'Technology', 'Software'),
    ('SHOP', 'Shopify Inc.', 'stock', 'NASDAQ', 'USD', 'Technology', 'Software'),
    ('SQ', 'Block, Inc.', 'stock', 'NYSE', 'USD', 'Technology', 'Software'),
    ('SOFI', 'SoFi Technologies, Inc.', 'stock', 'NASDAQ', 'USD', 'Financial Services', 'Credit Services'),
    ('SPY', 'SPDR S&P 500 ETF Trust', 'etf', 'NYSE Arca', 'USD', NULL, NULL),
    ('QQQ', 'Invesco QQQ Trust', 'etf', 'NASDAQ', 'USD', NULL, NULL),
    ('IWM', 'iShares Russell 2000 ETF', 'etf', 'NYSE Arca', 'USD', NULL, NULL),
    ('GLD', 'SPDR Gold Shares', 'etf', 'NYSE Arca', 'USD', NULL, NULL),
    ('BTC-USD', 'Bitcoin', 'crypto', NULL, 'USD', NULL, NULL),
    ('ETH-USD', 'Ether', 'crypto', NULL, 'USD', NULL, NULL)
) AS s (symbol, name, kind, exchange, currency, sector, industry);

-- The invented results of the past eight quarters and the dates of the next one or two, three to eight weeks after a quarter's end. Like
-- prices, history does not change as time goes on.
DELETE FROM public.earnings WHERE symbol IN (SELECT symbol FROM pg_temp.symbols);
INSERT INTO public.earnings (symbol, date, session, fiscal_period, eps_estimate, eps_actual, revenue_estimate, revenue_actual)
SELECT symbol, day, CASE WHEN pg_temp.uniform(s.number, 700) < 0.4 THEN 'before_open' ELSE 'after_close' END,
       to_char(q.ends - 1, '"Q"Q YYYY'),
       eps, CASE WHEN day < today THEN eps + round((base * 0.002 * (pg_temp.uniform(s.number, q.n + 701) - 0.4))::numeric, 2) END,
       revenue, CASE WHEN day < today THEN round(revenue * (1 + 0.06 * (pg_temp.uniform(s.number, q.n + 2701) - 0.4))) END::bigint
FROM clock CROSS JOIN pg_temp.symbols AS s JOIN public.symbols AS i USING (symbol)
CROSS JOIN LATERAL (SELECT ends::date, extract(year FROM ends)::int * 4 + extract(quarter FROM ends)::int AS n
                    FROM generate_series(date_trunc('quarter', today) - interval '21 months', date_trunc('quarter', today) + interval '3 months',
                                         interval '3 months') AS ends) AS q
CROSS JOIN LATERAL (SELECT pg_temp.weekday_from(q.ends + 21 + 7 * floor(5 * pg_temp.uniform(s.number, q.n + 4701))::int,
                                                2 + floor(3 * pg_temp.uniform(s.number, 702))::int) AS day,
                           round((base * (0.008 + 0.012 * pg_temp.uniform(s.number, q.n + 6701)))::numeric, 2) AS eps,
                           round(1e9 * (2 + 60 * pg_temp.uniform(s.number, 703)))::bigint AS revenue) AS e
WHERE i.kind = 'stock';
