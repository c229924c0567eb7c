BEGIN TRANSACTION;
CREATE TABLE label_claims (
	place INTEGER NOT NULL, 
	item_id TEXT NOT NULL, 
	annotator TEXT NOT NULL, 
	until FLOAT NOT NULL, 
	PRIMARY KEY (place)
);
INSERT INTO "label_claims" VALUES(1,'F3-r1','cat',1.79596037992030763629e+09);
INSERT INTO "label_claims" VALUES(2,'F5-r1','cat',1.79596037992030763629e+09);
INSERT INTO "label_claims" VALUES(3,'F1-r1','cat',1.79596037992030763629e+09);
CREATE TABLE label_events (
	place INTEGER NOT NULL, 
	event_id TEXT NOT NULL, 
	item_id TEXT NOT NULL, 
	annotator TEXT NOT NULL, 
	left_id TEXT NOT NULL, 
	right_id TEXT NOT NULL, 
	left_accepted BOOLEAN, 
	right_accepted BOOLEAN, 
	cannot_judge BOOLEAN NOT NULL, 
	unsafe BOOLEAN NOT NULL, 
	reasons JSON NOT NULL, 
	note TEXT NOT NULL, 
	drawn_by TEXT NOT NULL, 
	repeat_of TEXT, 
	corrects TEXT, 
	seconds FLOAT, 
	at TEXT NOT NULL, 
	PRIMARY KEY (place), 
	UNIQUE (event_id)
);
INSERT INTO "label_events" VALUES(1,'7ed0693a2d7948eb9e9a0b1c2c3c5468','F0-r1','ann','F0-r1-a','F0-r1-b',1,0,0,0,'["visual_grounding", "\u00fcberfl\u00fcssig"]','links <b> ‮','random',NULL,NULL,4.5,'2026-11-29T13:22:59.028+00:00');
INSERT INTO "label_events" VALUES(2,'c19ecbdfd73a43968f9c638641be7ecd','F1-r1','ann','F1-r1-a','F1-r1-b',1,1,0,0,'[]','','cluster',NULL,NULL,NULL,'2026-11-29T13:22:59.070+00:00');
INSERT INTO "label_events" VALUES(3,'43f4fe33c8b9461d93daaa5d7ea751b1','F2-r1','ann','F2-r1-a','F2-r1-b',NULL,NULL,1,1,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:59.105+00:00');
INSERT INTO "label_events" VALUES(4,'second','F3-r1','ann','F3-r1-a','F3-r1-b',0,0,0,0,'[]','','uncertainty',NULL,NULL,NULL,'2026-11-29T13:22:59.106+00:00');
INSERT INTO "label_events" VALUES(5,'97b2c8553a36470990120e6fadda9861','F0-r1','ann','F0-r1-a','F0-r1-b',0,1,0,0,'[]','','random','7ed0693a2d7948eb9e9a0b1c2c3c5468',NULL,NULL,'2026-11-29T13:22:59.106+00:00');
INSERT INTO "label_events" VALUES(6,'ce7854585b3643e6a98161a2c3160da8','F4-r1','ann','F4-r1-a','F4-r1-b',1,0,0,0,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:59.137+00:00');
INSERT INTO "label_events" VALUES(7,'90a3835fe61e474593adbe12a7b8c2db','F4-r1','ann','F4-r1-a','F4-r1-b',0,1,0,0,'[]','','random',NULL,'ce7854585b3643e6a98161a2c3160da8',NULL,'2026-11-29T13:22:59.138+00:00');
INSERT INTO "label_events" VALUES(8,'59bf312c3a1f428fb4888cfa957f9d8c','F5-r1','ann','F5-r1-a','F5-r1-b',1,1,0,0,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:59.172+00:00');
INSERT INTO "label_events" VALUES(9,'87edebeb11a847ee9c1246cb19993479','F5-r1','ann','F5-r1-a','F5-r1-b',NULL,NULL,0,0,'[]','','random',NULL,'59bf312c3a1f428fb4888cfa957f9d8c',NULL,'2026-11-29T13:22:59.266+00:00');
INSERT INTO "label_events" VALUES(10,'c48984ffa9344db895681a92e02657c9','F3-r1','ann','F3-r1-a','F3-r1-b',1,0,0,0,'[]','','uncertainty',NULL,'second',NULL,'2026-11-29T13:22:59.266+00:00');
INSERT INTO "label_events" VALUES(11,'3799c7437ca04f22a280915549b4ce12','F3-r1','ann','F3-r1-a','F3-r1-b',NULL,NULL,0,0,'[]','','uncertainty',NULL,'c48984ffa9344db895681a92e02657c9',NULL,'2026-11-29T13:22:59.297+00:00');
INSERT INTO "label_events" VALUES(12,'7fdff4a7cc6f40b3a500eee112d5834f','F0-r1','bob@clinic.example','F0-r1-a','F0-r1-b',1,1,0,0,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:59.298+00:00');
INSERT INTO "label_events" VALUES(13,'30a6fef18cea4f55bc1da3e8a57d5ad5','F6-r1','bob@clinic.example','F6-r1-a','F6-r1-b',1,0,0,0,'[]','','calibration',NULL,NULL,NULL,'2026-11-29T13:22:59.299+00:00');
INSERT INTO "label_events" VALUES(14,'e44eecaf9dfe48c982282d2f216cd579','F1-r1','bob@clinic.example','F1-r1-a','F1-r1-b',1,0,0,0,'[]','','adjudication',NULL,NULL,NULL,'2026-11-29T13:22:59.336+00:00');
INSERT INTO "label_events" VALUES(15,'5a610d0c817d46ddb0e936a9ab168cf8','F1-r1','bob@clinic.example','F1-r1-a','F1-r1-b',0,0,0,0,'[]','','adjudication',NULL,'e44eecaf9dfe48c982282d2f216cd579',NULL,'2026-11-29T13:22:59.337+00:00');
INSERT INTO "label_events" VALUES(16,'0eb44e6a84db473da9d119433efc4dac','F0-r1','bob@clinic.example','F0-r1-a','F0-r1-b',0,0,0,0,'[]','','random','7fdff4a7cc6f40b3a500eee112d5834f',NULL,NULL,'2026-11-29T13:22:59.542+00:00');
INSERT INTO "label_events" VALUES(17,'5a048dab6fed4f76a5c5d5ad8d36452c','F0-r1','bob@clinic.example','F0-r1-a','F0-r1-b',NULL,NULL,1,0,'[]','','random','7fdff4a7cc6f40b3a500eee112d5834f','0eb44e6a84db473da9d119433efc4dac',NULL,'2026-11-29T13:22:59.637+00:00');
INSERT INTO "label_events" VALUES(18,'7a9ff85a08f04d46b01bd1a99b46d1ba','F2-r1','strict','F2-r1-a','F2-r1-b',1,0,0,0,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:59.687+00:00');
CREATE TABLE label_format (
	version INTEGER NOT NULL, 
	identity TEXT
);
INSERT INTO "label_format" VALUES(2,'950055ca3db64f388e79f0323121811b');
CREATE INDEX ix_label_events_annotator ON label_events (annotator);
CREATE INDEX ix_label_events_corrects ON label_events (corrects);
CREATE INDEX ix_label_events_item_id ON label_events (item_id);
CREATE INDEX ix_label_events_annotator_item ON label_events (annotator, item_id);
CREATE TRIGGER label_events_no_update BEFORE UPDATE ON label_events BEGIN SELECT RAISE(ABORT, 'label_events only grows: append a row'); END;
CREATE TRIGGER label_events_no_delete BEFORE DELETE ON label_events BEGIN SELECT RAISE(ABORT, 'label_events only grows: append a row'); END;
CREATE TRIGGER label_claims_no_update BEFORE UPDATE ON label_claims BEGIN SELECT RAISE(ABORT, 'label_claims only grows: append a row'); END;
CREATE TRIGGER label_claims_no_delete BEFORE DELETE ON label_claims BEGIN SELECT RAISE(ABORT, 'label_claims only grows: append a row'); END;
COMMIT;
