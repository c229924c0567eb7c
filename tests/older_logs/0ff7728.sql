BEGIN TRANSACTION;
CREATE TABLE label_claims (
	place INTEGER NOT NULL, 
	item_id TEXT NOT NULL, 
	annotator TEXT NOT NULL, 
	until FLOAT NOT NULL, 
	PRIMARY KEY (place)
);
INSERT INTO "label_claims" VALUES(1,'F3-r1','cat',1.79596035872901701926e+09);
INSERT INTO "label_claims" VALUES(2,'F5-r1','cat',1.79596035872901701926e+09);
INSERT INTO "label_claims" VALUES(3,'F1-r1','cat',1.79596035872901701926e+09);
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
	queue_arm TEXT NOT NULL, 
	repeat_of TEXT, 
	corrects TEXT, 
	seconds FLOAT, 
	at TEXT NOT NULL, 
	PRIMARY KEY (place), 
	UNIQUE (event_id)
);
INSERT INTO "label_events" VALUES(1,'600834dd4972412c9474f0b1e3941ab8','F0-r1','ann','F0-r1-a','F0-r1-b',1,0,0,0,'["visual_grounding", "\u00fcberfl\u00fcssig"]','links <b> ‮','random',NULL,NULL,4.5,'2026-11-29T13:22:38.006+00:00');
INSERT INTO "label_events" VALUES(2,'c965a86076ae4782901e2c0affb1db01','F1-r1','ann','F1-r1-a','F1-r1-b',1,1,0,0,'[]','','cluster',NULL,NULL,NULL,'2026-11-29T13:22:38.068+00:00');
INSERT INTO "label_events" VALUES(3,'b74075fdfe07426fbddf50da5521d735','F2-r1','ann','F2-r1-a','F2-r1-b',NULL,NULL,1,1,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:38.070+00:00');
INSERT INTO "label_events" VALUES(4,'second','F3-r1','ann','F3-r1-a','F3-r1-b',0,0,0,0,'[]','','uncertainty',NULL,NULL,NULL,'2026-11-29T13:22:38.070+00:00');
INSERT INTO "label_events" VALUES(5,'48d97cf578434b518b0d00d2e743572a','F0-r1','ann','F0-r1-a','F0-r1-b',0,1,0,0,'[]','','random','600834dd4972412c9474f0b1e3941ab8',NULL,NULL,'2026-11-29T13:22:38.108+00:00');
INSERT INTO "label_events" VALUES(6,'d9c205ebca954a0eb38ad46efb57b912','F4-r1','ann','F4-r1-a','F4-r1-b',1,0,0,0,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:38.125+00:00');
INSERT INTO "label_events" VALUES(7,'70ef83cc0e4b4dfebefd858218af14cc','F4-r1','ann','F4-r1-a','F4-r1-b',0,1,0,0,'[]','','random',NULL,'d9c205ebca954a0eb38ad46efb57b912',NULL,'2026-11-29T13:22:38.126+00:00');
INSERT INTO "label_events" VALUES(8,'f7074f6c5a944351a2d4ca597d05dd91','F5-r1','ann','F5-r1-a','F5-r1-b',1,1,0,0,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:38.127+00:00');
INSERT INTO "label_events" VALUES(9,'d81e038492cc4fe5b3691fa55837e412','F5-r1','ann','F5-r1-a','F5-r1-b',NULL,NULL,0,0,'[]','','random',NULL,'f7074f6c5a944351a2d4ca597d05dd91',NULL,'2026-11-29T13:22:38.230+00:00');
INSERT INTO "label_events" VALUES(10,'fbe3ed63388f453a8449520b636b4658','F3-r1','ann','F3-r1-a','F3-r1-b',1,0,0,0,'[]','','uncertainty',NULL,'second',NULL,'2026-11-29T13:22:38.230+00:00');
INSERT INTO "label_events" VALUES(11,'41e12364907b4a22bea51d138879bb4c','F3-r1','ann','F3-r1-a','F3-r1-b',NULL,NULL,0,0,'[]','','uncertainty',NULL,'fbe3ed63388f453a8449520b636b4658',NULL,'2026-11-29T13:22:38.258+00:00');
INSERT INTO "label_events" VALUES(12,'93d55e75f090458f839c04d689af16c3','F0-r1','bob@clinic.example','F0-r1-a','F0-r1-b',1,1,0,0,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:38.276+00:00');
INSERT INTO "label_events" VALUES(13,'d61b046d708c4c72bf33065d49153c82','F6-r1','bob@clinic.example','F6-r1-a','F6-r1-b',1,0,0,0,'[]','','calibration',NULL,NULL,NULL,'2026-11-29T13:22:38.277+00:00');
INSERT INTO "label_events" VALUES(14,'d1c60eb4d0c14ecd9a13bf7134f67ab5','F1-r1','bob@clinic.example','F1-r1-a','F1-r1-b',1,0,0,0,'[]','','adjudication',NULL,NULL,NULL,'2026-11-29T13:22:38.277+00:00');
INSERT INTO "label_events" VALUES(15,'e7c49e002da64e3b8c988446df0862dd','F1-r1','bob@clinic.example','F1-r1-a','F1-r1-b',0,0,0,0,'[]','','adjudication',NULL,'d1c60eb4d0c14ecd9a13bf7134f67ab5',NULL,'2026-11-29T13:22:38.278+00:00');
INSERT INTO "label_events" VALUES(16,'8957cb7dc0984b3f940db058e1a269fc','F0-r1','bob@clinic.example','F0-r1-a','F0-r1-b',0,0,0,0,'[]','','random','93d55e75f090458f839c04d689af16c3',NULL,NULL,'2026-11-29T13:22:38.412+00:00');
INSERT INTO "label_events" VALUES(17,'d631e6decc0349fba33975d82ffb5181','F0-r1','bob@clinic.example','F0-r1-a','F0-r1-b',NULL,NULL,1,0,'[]','','random','93d55e75f090458f839c04d689af16c3','8957cb7dc0984b3f940db058e1a269fc',NULL,'2026-11-29T13:22:38.508+00:00');
INSERT INTO "label_events" VALUES(18,'988390d3b5a24d048a212b539bf9e6e8','F2-r1','strict','F2-r1-a','F2-r1-b',1,0,0,0,'[]','','random',NULL,NULL,NULL,'2026-11-29T13:22:38.510+00:00');
CREATE TABLE label_format (
	version INTEGER NOT NULL, 
	identity TEXT
);
INSERT INTO "label_format" VALUES(1,'cdef480b3cb44ac1b71dfd509efbc43c');
CREATE INDEX ix_label_events_annotator ON label_events (annotator);
CREATE INDEX ix_label_events_corrects ON label_events (corrects);
CREATE INDEX ix_label_events_annotator_item ON label_events (annotator, item_id);
CREATE INDEX ix_label_events_item_id ON label_events (item_id);
CREATE TRIGGER label_events_no_update BEFORE UPDATE ON label_events BEGIN SELECT RAISE(ABORT, 'label_events only grows: append a row'); END;
CREATE TRIGGER label_events_no_delete BEFORE DELETE ON label_events BEGIN SELECT RAISE(ABORT, 'label_events only grows: append a row'); END;
CREATE TRIGGER label_claims_no_update BEFORE UPDATE ON label_claims BEGIN SELECT RAISE(ABORT, 'label_claims only grows: append a row'); END;
CREATE TRIGGER label_claims_no_delete BEFORE DELETE ON label_claims BEGIN SELECT RAISE(ABORT, 'label_claims only grows: append a row'); END;
COMMIT;
