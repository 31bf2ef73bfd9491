"""Jobs while everything around them breaks, and whether each took effect as was promised.

    python -m tests.torture --seconds 60 --storage zeo

Worker processes run jobs on a ZEO server, or a PostgreSQL server with RelStorage, while processes
are killed and stopped, a supervisor and its workers among them, connections are cut and the disk is
full. (A FileStorage has one process.)
When all works again and the jobs have been given the time to end, what the database and an
independent file say is compared with what was promised. What is broken when follows from a seed;
how that meets the jobs does not: runs of one seed are similar, not the same.

What cannot be promised, and is not checked: that a job which calls `transaction.commit()` takes
effect once before that. What it committed before a crash stays, and all of it runs again.

================ ==================================================================================
``work``         what jobs call
``kinds``        the kinds of jobs, and what must have come of each
``putting``      clients that put jobs
``proxy``        the network, which can be cut
``processes``    the ZEO server and the workers, which can be killed
``postgres``     the PostgreSQL server, and how it is broken
``crew``         workers of ``zc-async worker``, whose supervisor is killed, too
``alone``        the one process of a FileStorage
``breaking``     what is broken when
``watching``     looks at the quotas meanwhile
``verdict``      what went wrong
``explaining``   which errors are in order
``run``          all of it together
``report``       the table
================ ==================================================================================
"""
