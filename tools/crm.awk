# crm.awk - a CRM data set, as a script for psql: tables, rows (COPY) and rules of a source
# database.
#
#   awk -f tools/crm.awk | psql ...
#   awk -v accounts=2000 -v contacts=6000 -v opportunities=4000 -v activities=15000 -v seed=2 \
#       -f tools/crm.awk
#
# The same parameters give the same bytes with any awk, because numbers come from a generator of
# its own.  Everybody in it is put together from common names; e-mail domains end in .example and
# telephone numbers are of ranges that are set aside for fiction.

function next_number() { return state = (state * 16807) % 2147483647 }
function below(n) { return next_number() % n }
function chance(percent) { return below(100) < percent }
function pick(list,   parts, n) { n = split(list, parts, "|"); return parts[1 + below(n)] }

# A word of a list "shown/ascii|shown/ascii": sets `ascii`, returns what is shown.
function pick_word(list,   parts) {
	split(pick(list), parts, "/")
	ascii = parts[2]
	return parts[1]
}

# Eight pieces of 16 bits from a generator that starts at a different point for every row.
function uuid(kind, i,   s, k, piece) {
	s = (kind * 300000000 + i * 7 + seed * 15485863) % 2147483646 + 1
	for (k = 1; k <= 11; k++) {
		s = (s * 16807) % 2147483647
		piece[k] = int(s / 64) % 65536
	}
	return sprintf("%04x%04x-%04x-4%03x-%04x-%04x%04x%04x", piece[4], piece[5], piece[6],
	    piece[7] % 4096, 32768 + piece[8] % 16384, piece[9], piece[10], piece[11])
}

# Days since 1970-01-01 as a date.
function date(days,   z, era, doe, yoe, doy, mp, y, m) {
	z = days + 719468
	era = int(z / 146097)
	doe = z - era * 146097
	yoe = int((doe - int(doe / 1460) + int(doe / 36524) - int(doe / 146096)) / 365)
	doy = doe - (365 * yoe + int(yoe / 4) - int(yoe / 100))
	mp = int((5 * doy + 2) / 153)
	m = mp < 10 ? mp + 3 : mp - 9
	y = yoe + era * 400 + (m <= 2)
	return sprintf("%04d-%02d-%02d", y, m, doy - int((153 * mp + 2) / 5) + 1)
}

function moment(days) {
	return sprintf("%s %02d:%02d:%02d.%06d+00", date(days), below(24), below(60), below(60),
	    below(1000000))
}

function money(digits,   whole, k) {
	whole = 1 + below(9)
	for (k = below(digits); k > 0; k--)
		whole = whole * 10 + below(10)
	return sprintf("%.0f.%02d", whole, below(100))
}

function maybe(percent, value) { return chance(percent) ? value : "\\N" }

function phone(country) {
	if (country == "DE") return sprintf("+49 30 23125 %03d", below(1000))
	if (country == "FR") return sprintf("+33 1 99 00 %02d %02d", below(100), below(100))
	if (country == "GB") return sprintf("+44 20 7946 0%03d", below(1000))
	if (country == "US") return sprintf("+1 212 555 01%02d", below(100))
	return "\\N"
}

function words() {
	countries["zh"] = "CN"; countries["de"] = "DE|DE|AT"; countries["fr"] = "FR|FR|" \
	    "BE"; countries["en"] = "GB|US"
	first["zh"] = "伟/wei|芳/fang|娜/na|秀英/xiuying|敏/min|静/jing|强/qiang|磊/lei|" \
	    "洋/yang|艳/yan|勇/yong|军/jun|杰/jie|婷/ting|晓明/xiaoming|子涵/zihan"
	last["zh"] = "王/wang|李/li|张/zhang|刘/liu|陈/chen|杨/yang|黄/huang|赵/zhao|吴/wu|" \
	    "周/zhou|徐/xu|孙/sun|欧阳/ouyang|司马/sima"
	first["de"] = "Jürgen/juergen|Käthe/kaethe|Sören/soeren|Anna/anna|Lukas/lukas|" \
	    "Björn/bjoern|Heike/heike|Uwe/uwe|Grit/grit|Jörg/joerg|Mareike/mareike|" \
	    "Günther/guenther"
	last["de"] = "Müller/mueller|Schäfer/schaefer|Weiß/weiss|Krüger/krueger|" \
	    "Größing/groessing|Voß/voss|Jäger/jaeger|Schröder/schroeder|Bäumler/baeumler|" \
	    "Köhler/koehler|Lang/lang"
	first["fr"] = "Élodie/elodie|François/francois|Zoé/zoe|Jérôme/jerome|Chloé/chloe|" \
	    "Benoît/benoit|Noël/noel|Anaïs/anais|Gaël/gael|Hélène/helene|Loïc/loic|" \
	    "Marguerite/marguerite"
	last["fr"] = "Lefèvre/lefevre|Côté/cote|Béranger/beranger|d'Aubigné/daubigne|" \
	    "Garçon/garcon|Périn/perin|L'Hôte/lhote|Guérin/guerin|Forêt/foret|Maçon/macon|" \
	    "Dupont/dupont"
	first["en"] = "Siobhan/siobhan|Oliver/oliver|Amelia/amelia|George/george|Zoë/zoe|" \
	    "Harriet/harriet|Desmond/desmond|Priya/priya|Callum/callum|Eleanor/eleanor|" \
	    "Ravi/ravi|Grace/grace"
	last["en"] = "O'Neill/oneill|Smith/smith|Okafor/okafor|Fitzgerald/fitzgerald|" \
	    "McKay/mckay|Patel/patel|Brontë/bronte|Ashworth/ashworth|Lloyd-Jones/lloyd-jones|" \
	    "Taylor/taylor"
	city["zh"] = "北京/beijing|上海/shanghai|广州/guangzhou|深圳/shenzhen|杭州/hangzhou|" \
	    "成都/chengdu|西安/xian|乌鲁木齐/urumqi"
	city["DE"] = "Köln|München|Düsseldorf|Göttingen|Berlin|Saarbrücken|Lübeck|" \
	    "Weißenfels"; city["AT"] = "Wien|Graz|St. Pölten"
	city["FR"] = "Paris|Besançon|Orléans|Saint-Étienne|Nîmes|Le Mans"; city["BE"] = "Liège|" \
	    "Namur|Bruxelles"
	city["GB"] = "London|Leeds|Stoke-on-Trent|Bury St Edmunds"; city["US"] = "New York|" \
	    "Coeur d'Alene|San José"
	street["zh"] = "长安街|南京路|中山路|人民大道|解放路|学院南路"
	street["de"] = "Hauptstraße|Königsallee|Am Mühlbach|Löwengasse|Straße der Einheit|Bürgerweg"
	street["fr"] = "rue de l'Église|avenue Général-Leclerc|place du Marché|" \
	    "quai de la Fosse|boulevard Voltaire"
	street["en"] = "High Street|St James's Square|Mill Lane|Queen's Road|Elm Avenue|" \
	    "King William Street"
	brand["zh"] = "华信/huaxin|远达/yuanda|中科/zhongke|金龙/jinlong|天宇/tianyu|" \
	    "恒泰/hengtai|瑞丰/ruifeng"
	branch["zh"] = "科技/tech|贸易/trading|机械/machinery|物流/logistics|食品/foods|" \
	    "医疗器械/medical"
	branch["de"] = "Maschinenbau/maschinenbau|Spedition/spedition|" \
	    "Lebensmittel/lebensmittel|Medizintechnik/medizintechnik|Großhandel/grosshandel|" \
	    "Gebäudetechnik/gebaeudetechnik"
	branch["fr"] = "Mécanique/mecanique|Transports/transports|" \
	    "Produits Frais/produits-frais|Santé/sante|Négoce/negoce|Bâtiment/batiment"
	branch["en"] = "Engineering/engineering|Haulage/haulage|Fine Foods/fine-foods|" \
	    "Medical Supplies/medical|Trading/trading|Builders/builders"
	industries = "manufacturing|logistics|food|health|trade|construction|public sector"
	titles["zh"] = "年度采购框架|设备更新项目|软件许可续订|仓储扩容|售后服务合同"
	titles["de"] = "Rahmenvertrag für Ersatzteile|Erneuerung der Prüfstände|" \
	    "Lizenzverlängerung|Lagererweiterung Süd|Wartung ‚Premium‘"
	titles["fr"] = "Contrat-cadre pièces détachées|Rénovation de l'atelier|" \
	    "Renouvellement de licences|Extension de l'entrepôt|Maintenance « Sérénité »"
	titles["en"] = "Spare parts framework|Test bench renewal|Licence renewal|" \
	    "Warehouse extension|\"Gold\" maintenance"
	subjects["zh"] = "电话回访|报价说明|现场拜访|合同条款讨论|产品演示"
	subjects["de"] = "Rückruf|Angebot erläutert|Besuch vor Ort|Vertragsprüfung|Vorführung"
	subjects["fr"] = "Rappel téléphonique|Présentation du devis|Visite sur site|" \
	    "Relecture du contrat|Démonstration"
	subjects["en"] = "Call back|Quote explained|Site visit|Contract review|Demo"
	remarks["zh"] = "客户希望下周再联系。|价格需要重新确认。\\n备选方案：分期付款。|非常满意 👍"
	remarks["de"] = "Möchte nächste Woche zurückgerufen werden.|" \
	    "Preis noch offen.\\n\\tAlternative: Ratenzahlung über 24 Monate à 1.250,50 €.|" \
	    "Sehr zufrieden 👍 – „jederzeit wieder“"
	remarks["fr"] = "Souhaite être rappelé la semaine prochaine.|" \
	    "Prix à confirmer.\\n\\tVariante : paiement échelonné, 1 250,50 €.|" \
	    "Très satisfait 👍 – « à refaire »"
	remarks["en"] = "Wants a call next week.|" \
	    "Price still open.\\n\\tFallback: C:\\\\quotes\\\\2025\\\\plan B; " \
	    "100% upfront isn't an option.|" \
	    "Very happy 👍 – \"any time again\""
	currencies["CN"] = "CNY"; currencies["GB"] = "GBP"; currencies["US"] = "USD"
	currencies["DE"] = currencies["AT"] = currencies["FR"] = currencies["BE"] = "EUR"
}

function schema() {
	print "CREATE TABLE account (id uuid PRIMARY KEY, name varchar(200) NOT NULL,"
	print "\ttax_id varchar(40) UNIQUE, country varchar(2) NOT NULL, industry varchar(60),"
	print "\tstreet varchar(200), postal_code varchar(20), city varchar(100),"
	print "\twebsite varchar(200), employees bigint, revenue numeric(14,2),"
	print "\tactive boolean NOT NULL DEFAULT true,"
	print "\tfounded date, settings jsonb, seal bytea, parent uuid, main_contact uuid,"
	print "\tcreated_at timestamptz NOT NULL DEFAULT now());"
	print "CREATE TABLE contact (id uuid PRIMARY KEY, account uuid NOT NULL,"
	print "\tfirst_name varchar(80) NOT NULL, last_name varchar(80) NOT NULL,"
	print "\temail varchar(254) UNIQUE, phone varchar(40), birthday date,"
	print "\tlocale varchar(10) NOT NULL DEFAULT 'en',"
	print "\tnewsletter boolean NOT NULL DEFAULT false,"
	print "\tpreferences jsonb, notes text, created_at timestamptz NOT NULL DEFAULT now());"
	print "CREATE TABLE opportunity (id uuid PRIMARY KEY, account uuid NOT NULL, contact uuid,"
	print "\ttitle varchar(200) NOT NULL, stage varchar(30) NOT NULL DEFAULT 'new',"
	print "\tamount numeric(14,2), currency varchar(3) NOT NULL DEFAULT 'EUR',"
	print "\tprobability bigint, expected_on date, won boolean, closed_at timestamptz,"
	print "\tcreated_at timestamptz NOT NULL DEFAULT now());"
	print "CREATE TABLE activity (id uuid PRIMARY KEY, account uuid NOT NULL, contact uuid,"
	print "\topportunity uuid, kind varchar(20) NOT NULL, subject varchar(200) NOT NULL,"
	print "\tnotes text, minutes bigint, due_on date, done boolean NOT NULL DEFAULT false,"
	print "\tdone_at timestamptz, details jsonb,"
	print "\tcreated_at timestamptz NOT NULL DEFAULT now());"
}

function rules() {
	print "ALTER TABLE account ADD FOREIGN KEY (parent) REFERENCES account ON DELETE SET NULL,"
	print "\tADD FOREIGN KEY (main_contact) REFERENCES contact ON DELETE SET NULL;"
	print "ALTER TABLE contact ADD FOREIGN KEY (account) REFERENCES account ON DELETE CASCADE;"
	print "ALTER TABLE opportunity"
	print "\tADD FOREIGN KEY (account) REFERENCES account ON DELETE RESTRICT,"
	print "\tADD FOREIGN KEY (contact) REFERENCES contact ON DELETE SET NULL;"
	print "ALTER TABLE activity ADD FOREIGN KEY (account) REFERENCES account ON DELETE CASCADE,"
	print "\tADD FOREIGN KEY (contact) REFERENCES contact ON DELETE SET NULL,"
	print "\tADD FOREIGN KEY (opportunity) REFERENCES opportunity ON DELETE SET NULL;"
}

function company(i, l,   name, slug, kind) {
	if (l == "zh") {
		name = city_shown pick_word(brand[l])
		slug = city_ascii "-" ascii
		name = name pick_word(branch[l]) "有限公司"
		domain[i] = slug "-" ascii ".example"
		return name
	}
	name = pick_word(last[l])
	slug = ascii
	kind = pick_word(branch[l])
	domain[i] = slug "-" ascii ".example"
	if (l == "de") return name " " kind pick(" GmbH| AG| & Söhne KG| e. K.")
	if (l == "fr")
		return pick("Établissements |Société |Maison ") name " " kind \
		    pick(" SARL| S.A.| et Fils")
	return name " " kind pick(" Ltd| Inc.| & Sons| LLP")
}

function address(l,   number) {
	number = 1 + below(200)
	if (l == "zh") return pick(street[l]) number "号"
	if (l == "de") return pick(street[l]) " " number
	return number " " pick(street[l])
}

function account(i,   l, c, settings, above, main, seal) {
	l = locale[i] = pick("zh|zh|de|de|fr|en")
	c = country[i] = pick(countries[l])
	city_shown = l == "zh" ? pick_word(city[l]) : pick(city[c])
	city_ascii = ascii
	settings = sprintf("{\"tier\": \"%s\", \"seats\": %d, \"tags\": [\"%s\", \"%s\"], ",
	    pick("gold|silver|standard"), 1 + below(500), pick(industries),
	    pick("重要|wichtig|à suivre|key"))
	settings = settings sprintf("\"billing\": {\"net_days\": %d}}", pick("14|30|60"))
	above = main = "\\N"
	if (i > 1 && chance(12)) above = uuid(1, 1 + below(i - 1))
	if (i <= contacts && chance(90)) main = uuid(2, i)
	seal = sprintf("\\\\x%04x%04x%04x00ff", below(65536), below(65536), below(65536))
	print uuid(1, i), company(i, l),
	    maybe(90, sprintf("%s%09d", c, (i * 7919 + 13) % 1000000000)), c,
	    maybe(85, pick(industries)), maybe(95, address(l)),
	    maybe(90, sprintf("%05d", 1000 + below(90000))), city_shown,
	    maybe(70, "https://www." domain[i]), maybe(80, 1 + below(20000)), maybe(85, money(12)),
	    chance(92) ? "t" : "f", maybe(75, date(below(18000))), maybe(80, settings),
	    maybe(20, seal), above, main, moment(today - below(2000))
}

# The first contacts go one to each account, so that its main contact is one of its own.
function contact(i,   a, l, given, family, local) {
	a = i <= accounts ? i : 1 + below(accounts)
	l = chance(90) ? locale[a] : pick("zh|de|fr|en")
	of_account[a, ++contacts_of[a]] = i
	given = pick_word(first[l])
	local = ascii
	family = pick_word(last[l])
	local = local "." ascii "." i
	print uuid(2, i), uuid(1, a), given, family, maybe(92, local "@" domain[a]),
	    maybe(80, phone(country[a])), maybe(40, date(below(13000))), l, chance(35) ? "t" : "f",
	    maybe(50, sprintf("{\"channel\": \"%s\", \"quiet\": %s}", pick("email|phone|wechat"),
	    pick("true|false|null"))),
	    maybe(30, pick(remarks[l])), moment(today - below(1500))
}

function contact_of(a) {
	return contacts_of[a] ? uuid(2, of_account[a, 1 + below(contacts_of[a])]) : "\\N"
}

function opportunity(i,   a, stage, born, closed, odds, won, end) {
	a = 1 + below(accounts)
	stage = pick("new|qualified|proposal|negotiation|won|lost")
	born = today - below(900)
	closed = stage == "won" || stage == "lost"
	account_of[i] = a
	odds = maybe(90, 5 * below(20))
	won = end = "\\N"
	if (closed) {
		odds = stage == "won" ? 100 : 0
		won = stage == "won" ? "t" : "f"
		end = moment(born + 1 + below(180))
	}
	print uuid(3, i), uuid(1, a), maybe(85, contact_of(a)),
	    pick(titles[locale[a]]) " " (2023 + below(4)), stage, maybe(93, money(8)),
	    currencies[country[a]], odds, maybe(90, date(born + 20 + below(200))), won, end,
	    moment(born)
}

function activity(i,   o, a, done, born, end, details) {
	o = 0
	if (opportunities > 0 && chance(60)) o = 1 + below(opportunities)
	a = o ? account_of[o] : 1 + below(accounts)
	done = chance(70)
	born = today - below(700)
	end = done ? moment(born + below(60)) : "\\N"
	details = sprintf("{\"direction\": \"%s\", \"score\": %d.%d, \"note\": \"\\\\\"%s\\\\\"\"}",
	    pick("in|out"), below(10), below(10), pick("优先|Priorität|priorité|priority"))
	print uuid(4, i), uuid(1, a), maybe(80, contact_of(a)), o ? uuid(3, o) : "\\N",
	    pick("call|meeting|email|task|note"), pick(subjects[locale[a]]),
	    maybe(55, pick(remarks[locale[a]])), maybe(60, 5 * (1 + below(36))),
	    maybe(70, date(born + below(60))), done ? "t" : "f", end, maybe(35, details),
	    moment(born)
}

BEGIN {
	if (accounts == "") accounts = 200
	if (contacts == "") contacts = 600
	if (opportunities == "") opportunities = 400
	if (activities == "") activities = 1500
	if (seed == "") seed = 1
	state = 20240229 + seed
	today = 20270		# 2025-07-01
	OFS = "\t"
	words()
	print "BEGIN;\nSET LOCAL client_encoding = 'UTF8';"
	schema()
	print "COPY account FROM stdin;"
	for (i = 1; i <= accounts; i++) account(i)
	print "\\.\nCOPY contact FROM stdin;"
	for (i = 1; i <= contacts; i++) contact(i)
	print "\\.\nCOPY opportunity FROM stdin;"
	for (i = 1; i <= opportunities; i++) opportunity(i)
	print "\\.\nCOPY activity FROM stdin;"
	for (i = 1; i <= activities; i++) activity(i)
	print "\\."
	rules()
	print "COMMIT;"
}
