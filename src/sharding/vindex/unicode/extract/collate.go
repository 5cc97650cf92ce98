package collate

import "vitess.io/vitess/go/mysql/collations/vindex/internal/colltab"

// Table hands out the table that New hashes by.
func Table() *colltab.Table { return getTable(tableIndex{0x15, 0x0}) }
