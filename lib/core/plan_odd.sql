-- What the catalogue says of the logins of a shared database's tenants that have nothing of their own there.

-- name: plan_common_logins server: lite
SELECT t.name, l.role, l.access = 'ro', l.on_now FROM tenant t JOIN login l ON l.tenant = t.name
WHERE t.shared = ?1 AND t.layout = 'views' AND t.own_views = 0 AND t.state IN ('active', 'suspended');
