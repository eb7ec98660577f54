-- Unquoted names fold to lower case: the table is `weathersummaries`.
CREATE TABLE WeatherSummaries (
    Id SERIAL PRIMARY KEY,
    Summary VARCHAR(50) NOT NULL
);

INSERT INTO WeatherSummaries (Summary) VALUES
    ('Freezing'),
    ('Bracing'),
    ('Chilly'),
    ('Cool'),
    ('Mild'),
    ('Warm'),
    ('Balmy'),
    ('Hot'),
    ('Sweltering'),
    ('Scorching');
