// Node's mysql2 against the gateway: port, user, password, CA file, data file.
const assert = require("node:assert");
const fs = require("node:fs");
const mysql = require("mysql2/promise");

const [port, user, password, ca, file] = process.argv.slice(2);
const options = { host: "127.0.0.1", port: Number(port), user, password, database: "commerce", charset: "utf8mb4" };
const connect = (more = {}) => mysql.createConnection({ ...options, ...more });
const ok = (name) => console.log("ok", name);
const refused = async (code, work) => {
  await assert.rejects(work, (error) => {
    assert.strictEqual(error.errno, code, String(error));
    return true;
  });
};

async function main() {
  await refused(1045, () => connect({ password: "wrong" }));
  await refused(1049, () => connect({ database: "nosuch" }));
  ok("refusals");

  const ssl = { ca: fs.readFileSync(ca), checkServerIdentity: () => undefined, verifyIdentity: false };
  let db = await connect({ ssl });
  assert.ok(db.connection.stream.encrypted);
  assert.deepStrictEqual((await db.query("SELECT 6 * 7 AS x"))[0], [{ x: 42 }]);
  await db.end();
  ok("tls");

  db = await connect();
  await db.query("CREATE TABLE mysql2_t (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100), d DATETIME(3), b BLOB, j JSON)");
  const row = ["Привет 😀 'quoted'", new Date("2024-02-29T01:02:03.456Z"), Buffer.from([0, 255, 10]), JSON.stringify({ a: [1, null] })];
  const [done] = await db.execute("INSERT INTO mysql2_t (v, d, b, j) VALUES (?, ?, ?, ?)", row);
  assert.deepStrictEqual([done.affectedRows, done.insertId], [1, 1]);
  await db.execute("INSERT INTO mysql2_t (v, d, b, j) VALUES (?, ?, ?, ?)", [null, null, null, null]);
  for (let again = 0; again < 3; again++) {
    const [rows] = await db.execute("SELECT v, d, b, j FROM mysql2_t WHERE id = ?", [1]);
    assert.deepStrictEqual(rows, [{ v: row[0], d: row[1], b: row[2], j: { a: [1, null] } }]);
  }
  await db.unprepare("SELECT v, d, b, j FROM mysql2_t WHERE id = ?");
  await refused(1146, () => db.execute("SELECT * FROM nosuch WHERE id = ?", [1]));
  await db.end();
  ok("prepared statements");

  db = await connect();
  const other = await connect();
  const count = async () => (await other.query("SELECT COUNT(*) AS n FROM mysql2_t"))[0][0].n;
  await db.beginTransaction();
  await db.query("INSERT INTO mysql2_t (v) VALUES ('a')");
  assert.strictEqual(await count(), 2);
  await db.rollback();
  await db.beginTransaction();
  await db.query("INSERT INTO mysql2_t (v) VALUES ('b')");
  await db.commit();
  assert.strictEqual(await count(), 3);
  await Promise.all([db.end(), other.end()]);
  ok("transactions");

  db = await connect();
  await db.query("SET @x = 5");
  await db.changeUser({ user, password, database: "commerce" });
  assert.deepStrictEqual((await db.query("SELECT @x AS x"))[0], [{ x: null }]);
  await refused(1045, () => db.changeUser({ user, password: "wrong", database: "commerce" }));
  db.destroy();
  ok("change user");

  db = await connect({ multipleStatements: true });
  const [many] = await db.query("SELECT 1 AS a; SELECT 2 AS b; SELECT 'x;y' AS c");
  assert.deepStrictEqual(many, [[{ a: 1 }], [{ b: 2 }], [{ c: "x;y" }]]);
  await db.end();
  ok("several statements");

  db = await connect();
  const big = "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n < 1000) SELECT n, REPEAT('x', 20000) AS t FROM up";
  const [rows] = await db.query(big);
  assert.strictEqual(rows.reduce((sum, one) => sum + one.t.length, 0), 20_000_000);
  await db.end();
  ok("big result");

  db = await connect();
  const load = `LOAD DATA LOCAL INFILE '${file}' INTO TABLE mysql2_t FIELDS TERMINATED BY ',' (id, v)`;
  const [loaded] = await db.query({ sql: load, infileStreamFactory: (path) => fs.createReadStream(path) });
  assert.strictEqual(loaded.affectedRows, 3);
  await db.end();
  ok("load data local");

  db = await connect();
  const names = (await db.query("SHOW DATABASES"))[0].map((one) => one.Database);
  assert.ok(names.includes("commerce") && names.includes("customer"), String(names));
  await db.query("use commerce@replica");
  assert.deepStrictEqual((await db.query("SELECT @@global.super_read_only AS r"))[0], [{ r: 1 }]);
  await refused(1290, () => db.query("DELETE FROM mysql2_t"));
  await db.end();
  ok("targets and SHOW");

  const pool = mysql.createPool({ ...options, connectionLimit: 20 });
  const answers = await Promise.all(Array.from({ length: 500 }, (_, n) => pool.execute("SELECT ? + 0 AS n", [n])));
  answers.forEach(([[one]], n) => assert.strictEqual(Number(one.n), n));
  await pool.end();
  ok("a pool");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
