"""What one Aggregator keeps in its database, a module for each kind of row, and the journal of releases beside it.

The functions take a transaction (`Tx`) first and are named by the same verbs throughout:

    find_       one row, or None
    get_        one row that must be there
    list_       many rows
    count_      how many there are
    add_        insert; where the row follows from a request, the row that is there already is taken
    update_     change some columns
    end_        a job or key is over: its row takes part in nothing more
    delete_     what the row held is gone; the marks on collected batches and the ledger stay
    lock_       hold a row until the transaction ends
    lease_      take a job that is due for some seconds; nobody else works on it until then
    postpone_   give a leased job back until a later time

Names that the draft has stay as the draft has them: output shares are committed (section 4.5.4.3), an aggregation job
is abandoned (section 4.5.5), a batch is marked as collected (section 4.6).
"""
