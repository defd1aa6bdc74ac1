# ruff: noqa: E501 - what is replaced stands here as it stands there
"""
Deliberate bugs: each is a mistake that a router like this one could really make, or that one has made.

`scripts/teeth.py` puts one at a time into a copy of the package; the simulator must break a law. One that it does not
catch is a missing law. `old` stands exactly once in its file.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Tooth:
    """One deliberate bug."""

    name: str
    what: str
    path: str
    old: str
    new: str


TEETH: tuple[Tooth, ...] = (
    Tooth(
        name="dedupe_marked_before_apply",
        what="an execution is marked as known in a transaction of its own, before the order has it",
        path="hean/actors/order.py",
        old="            context.ports.point(Point.APPLIED)\n",
        new="            context.ports.point(Point.APPLIED)\n"
        "            from attrs import evolve\n"
        "            from hean.journal import Batch\n"
        "            alone = Taken(fact=fact, applied=applied, unit=unit, extra=extra)\n"
        "            whole = batch_of(alone, at_ms=now_ms, digest=self._slot.cell.digest)\n"
        "            if whole.executions:\n"
        "                context.journal.commit(Batch(at_ms=now_ms, executions=whole.executions))\n",
    ),
    Tooth(
        name="resend_on_timeout",
        what="a create without an answer is sent again, without asking",
        path="hean/core/replies.py",
        old="            return OutcomeUnknown(attempt=attempt, why=said(verdict))",
        new="            return NotSent(attempt=attempt, why=said(verdict))",
    ),
    Tooth(
        name="reject_on_timeout",
        what="a create without an answer is taken for rejected",
        path="hean/core/replies.py",
        old="            return OutcomeUnknown(attempt=attempt, why=said(verdict))",
        new='            return Refused(attempt=attempt, ret_code=None, ret_msg="timed out")',
    ),
    Tooth(
        name="duplicate_is_a_refusal",
        what="a duplicate order_link_id is taken for a refusal",
        path="hean/core/replies.py",
        old="            return Duplicate(attempt=attempt, ret_code=verdict.ret_code)",
        new='            return Refused(attempt=attempt, ret_code=verdict.ret_code, ret_msg="duplicate")',
    ),
    Tooth(
        name="unlisted_code_is_a_refusal",
        what="a code that the table does not know is taken for a refusal",
        path="hean/bybit/retcodes.py",
        old="kind = REFUSED if group is Group.SETTING else UNKNOWN",
        new="kind = REFUSED",
    ),
    Tooth(
        name="ack_after_fill_regresses",
        what="a row that says New takes a partly filled order back",
        path="hean/core/order.py",
        old="        | TIMEOUT.to(ACKNOWLEDGED)\n        | stay(ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, CLOSED)\n",
        new="        | TIMEOUT.to(ACKNOWLEDGED)\n        | PARTIAL_FILL.to(ACKNOWLEDGED)\n"
        "        | stay(ACKNOWLEDGED, FILLED, CANCELLED, CLOSED)\n",
    ),
    Tooth(
        name="watermark_ignored",
        what="the exchange's own count of what is executed is not remembered",
        path="hean/core/ledger.py",
        old="        if watermark <= self.watermark:\n            return self\n",
        new="        return self\n",
    ),
    Tooth(
        name="gap_not_pursued",
        what="executions that a watermark tells of are not asked for",
        path="hean/core/record.py",
        old="            return ledger.watermark > ledger.cum_exec_qty\n",
        new="            return False\n",
    ),
    Tooth(
        name="funding_counted_as_fill",
        what="funding moves quantity",
        path="hean/core/types.py",
        old="return self is not ExecType.FUNDING",
        new="return True",
    ),
    Tooth(
        name="bytes_before_intent",
        what="the create leaves before its intent is in the journal",
        path="hean/actors/admission.py",
        old="        try:\n            context.journal.note(batch)\n        except JournalError as error:\n"
        "            # Without its intent",
        new="        early = Slot(link_id, context.ports.spawner.mailbox('early'), Cell(applied.order.snapshot(), digest))\n"
        "        for effect in applied.effects:\n"
        "            self._express.offer(create_of(effect, early))  # type: ignore[arg-type]\n"
        "        try:\n            context.journal.note(batch)\n        except JournalError as error:\n"
        "            # Without its intent",
    ),
    Tooth(
        name="one_empty_look_up_is_proof",
        what="one empty answer, however early, proves that an order was never placed",
        path="hean/core/doubt.py",
        old='        if order.in_flight or fact.started_ms < order.blind_until_ms:\n            return "nothing_found"\n',
        new='        return "absence_proven"\n',
    ),
    Tooth(
        name="failed_query_is_absence",
        what="a query that fails is taken for an empty one",
        path="hean/core/lookup.py",
        old='        why = f"{lookup.stage}: {verdict.ret_code or verdict.phase} {verdict.ret_msg}"\n'
        "        return _ended(lookup, complete=False, why=why)",
        new="        return _ended(lookup, complete=True)",
    ),
    Tooth(
        name="restart_sends_again",
        what="after a restart an order that may have been sent is sent again",
        path="hean/core/order.py",
        old='        | SUBMITTED.to(TIMEOUT, on=["forget_flight", "unknown_alarm", "query"])\n'
        "        | stay(TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR,"
        ' on=["forget_flight", "query"])',
        new='        | SUBMITTED.to(PENDING, on=["take_back", "schedule_retry"])\n'
        "        | stay(TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, FILLED, CANCELLED, REJECTED, ERROR,"
        ' on=["forget_flight", "query"])',
    ),
    Tooth(
        name="restart_forgets_open_orders",
        what="a restart does not bring back the orders that were open",
        path="hean/assembly.py",
        old="        for entry in context.journal.unsettled_orders():\n",
        new="        for entry in ():\n",
    ),
    Tooth(
        name="overfill_dropped",
        what="an execution beyond the order's quantity is dropped",
        path="hean/core/evidence.py",
        old="        self._bind(execution.order_id, newer=True)\n",
        new='        if ledger.cum_exec_qty > order.qty:\n            return "executed_known"\n'
        "        self._bind(execution.order_id, newer=True)\n",
    ),
    Tooth(
        name="late_fill_dropped",
        what="an execution after the end of its order is dropped",
        path="hean/core/evidence.py",
        old="        self._bind(execution.order_id, newer=True)\n",
        new='        if order.ended:\n            return "executed_known"\n'
        "        self._bind(execution.order_id, newer=True)\n",
    ),
    Tooth(
        name="cancel_reply_is_the_end",
        what="a cancel that was taken for processing is taken for done",
        path="hean/core/order.py",
        old='    command_accepted = stay(SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, ERROR, on="take_command") | stay(\n',
        new="    command_accepted = ACKNOWLEDGED.to(CANCELLED) | stay(SUBMITTED, TIMEOUT, PARTIAL_FILL, ERROR,"
        ' on="take_command") | stay(\n',
    ),
    Tooth(
        name="cancel_error_is_the_end",
        what="'order not exists or too late to cancel' is taken for a dead order",
        path="hean/core/order.py",
        old='        stay(SUBMITTED, TIMEOUT, ACKNOWLEDGED, PARTIAL_FILL, ERROR, on=["fail_command", "query"])',
        new="        ACKNOWLEDGED.to(CANCELLED) | PARTIAL_FILL.to(CANCELLED)"
        ' | stay(SUBMITTED, TIMEOUT, ERROR, on=["fail_command", "query"])',
    ),
    Tooth(
        name="cancel_forgotten",
        what="a cancel that failed once is not tried again",
        path="hean/core/commands.py",
        old="        # The order lives, so the request that failed did nothing: a cancel is tried again, an amend is dropped.\n"
        "        self._set(pending=None)",
        new="        self._set(pending=None, wish_cancel=False)",
    ),
    Tooth(
        name="fill_not_in_position",
        what="a fill that comes after the order's end does not reach the position",
        path="hean/core/evidence.py",
        old="        self._account(execution)\n        if ledger.without_fee",
        new="        if not order.ended:\n            self._account(execution)\n        if ledger.without_fee",
    ),
    Tooth(
        name="foreign_execution_ignored",
        what="an execution that no order of ours explains is dropped",
        path="hean/actors/external.py",
        old="        order = self._open.get(execution.order_id) or self._ended.get(execution.order_id)\n",
        new="        if execution.exec_type.value != 'Funding':\n            return\n"
        "        order = self._open.get(execution.order_id) or self._ended.get(execution.order_id)\n",
    ),
    Tooth(
        name="reconnect_without_catch_up",
        what="a new connection is LIVE without a query for what was missed",
        path="hean/assembly.py",
        old="    return SessionPolicy(\n",
        new="    return SessionPolicy(\n        catches_up=False,\n",
    ),
    Tooth(
        name="buffer_not_released",
        what="frames that came during the catch-up are thrown away",
        path="hean/actors/stream.py",
        old="                for frame in buffered:\n",
        new="                for frame in buffered[:0]:\n",
    ),
    Tooth(
        name="catch_up_from_now_on",
        what="the catch-up asks for executions since the reconnect, not since the watermark",
        path="hean/actors/stream.py",
        old="        since_ms = max(int(mark) - self._overlap_ms if mark else self._first_ms, self._first_ms)\n",
        new="        since_ms = max(int(self._exchange_ms()) - 10, self._first_ms) if mark else self._first_ms\n",
    ),
    Tooth(
        name="bad_row_loses_its_neighbours",
        what="one row that does not read loses the whole frame",
        path="hean/bybit/codec/rows.py",
        old="            bad.append(Quarantine(why=str(error), raw=show(raw)))\n    return tuple(good), tuple(bad)",
        new="            bad.append(Quarantine(why=str(error), raw=show(raw)))\n"
        "    return () if bad else tuple(good), tuple(bad)",
    ),
    Tooth(
        name="quarantine_not_kept",
        what="what does not read is dropped without a record",
        path="hean/actors/stream.py",
        old="    for spoiled in frame.quarantined:\n",
        new="    for spoiled in ():\n",
    ),
    Tooth(
        name="halt_not_asked",
        what="a halt does not keep signals out",
        path="hean/actors/admission.py",
        old="            halted=bool(gate.halted_why),\n",
        new="            halted=False,\n",
    ),
    Tooth(
        name="halt_not_journalled",
        what="a restart lifts a halt",
        path="hean/actors/gateway.py",
        old="        context.announce(event, marks={HALT_MARK: context.gate.halted_why})",
        new="        context.announce(event)",
    ),
    Tooth(
        name="create_sent_late",
        what="a create that has waited too long is sent all the same",
        path="hean/core/step.py",
        old="        expires_ms = Ms(order.request.submitted_ms + self.policy.max_age_ms)",
        new="        expires_ms = Ms(order.request.submitted_ms + 1_000 * self.policy.max_age_ms)",
    ),
    Tooth(
        name="withdrawn_call_unanswered",
        what="a create that is withdrawn from the queue gets no answer",
        path="hean/actors/gateway.py",
        old='                    self._refuse(waiting, "withdrawn before it was sent")\n',
        new="",
    ),
    Tooth(
        name="lost_trade_calls_unanswered",
        what="calls under way when the trade connection breaks are never answered",
        path="hean/actors/trade.py",
        old="        for call in pending.values():\n            call.answer(",
        new="        for call in ():\n            call.answer(",
    ),
    Tooth(
        name="overdue_trade_calls_unanswered",
        what="calls whose reply does not come are never answered",
        path="hean/actors/trade.py",
        old="        for _, pending in over:\n            pending.answer(",
        new="        for _, pending in ():\n            pending.answer(",
    ),
    Tooth(
        name="ticket_not_updated",
        what="a ticket goes on showing what the order was",
        path="hean/actors/registry.py",
        old="        slot.cell.publish(snapshot)\n",
        new="        if before.status == snapshot.status:\n            slot.cell.publish(snapshot)\n",
    ),
    Tooth(
        name="id_with_a_clock_in_it",
        what="the order_link_id depends on when it is asked for",
        path="hean/actors/admission.py",
        old="        link_id = ids.order_link_id(signal.strategy_id, signal.signal_id, signal.leg)\n",
        new="        link_id = ids.OrderLinkId(\n"
        "            f'h1-{self._context.now_ms() // 1000}'\n"
        "            + ids.order_link_id(signal.strategy_id, signal.signal_id, signal.leg)[3:20]\n        )\n",
    ),
    Tooth(
        name="executions_not_in_the_transaction",
        what="the journal does not remember which executions were applied",
        path="hean/actors/scribe.py",
        old="        executions=tuple(execution_entry(each.executed, order) for each in taken if each.executed is not None),\n",
        new="        executions=(),\n",
    ),
    Tooth(
        name="position_idx_not_kept",
        what="after a restart every execution is of the one-way position",
        path="hean/actors/scribe.py",
        old="        position_idx=order.request.position_idx if order is not None else position_idx,\n",
        new="        position_idx=0,\n",
    ),
    Tooth(
        name="amend_taken_at_its_word",
        what="an amend that was taken for processing is taken for done",
        path="hean/core/commands.py",
        old="            self._set(pending=evolve(pending, accepted_ms=self.now_ms))\n",
        new="            self._set(pending=evolve(pending, accepted_ms=self.now_ms))\n"
        "            if pending.amend is not None and pending.amend.qty is not None:\n"
        "                self._set(known_qty=pending.amend.qty, pending=None)\n",
    ),
    Tooth(
        name="stale_rows_taken",
        what="a row that is older than what was shown already is taken",
        path="hean/core/evidence.py",
        old="            return seen < known\n",
        new="            return False\n        return False\n",
    ),
    Tooth(
        name="retired_order_deaf",
        what="a row of an order that has retired finds nobody",
        path="hean/actors/supervisor.py",
        old="        if slot is None or not slot.tell(message):\n            self._revive(link_id, (message,))",
        new="        if slot is not None:\n            slot.tell(message)",
    ),
    Tooth(
        name="given_up_in_the_middle_of_a_look_up",
        what="an order that is parked after too many failures waits for the answer to what a dead actor asked",
        path="hean/actors/supervisor.py",
        old="            first = (Restarted(), Broken(",
        new="            first = (Broken(",
    ),
    Tooth(
        name="create_in_doubt_stays_queued",
        what="a create that waits for its budget leaves after its absence was proven",
        path="hean/core/doubt.py",
        old="            self.effects.append(WithdrawCreate(attempt=order.tries))\n",
        new="            pass\n",
    ),
    Tooth(
        name="reopened_as_it_retires",
        what="a late fill that waits as its settled order is let go opens an order without an actor",
        path="hean/actors/order.py",
        old="        if self._slot.retired and not self._order.snapshot().settled:",
        new="        if False:",
    ),
    Tooth(
        name="notes_forgotten_at_restart",
        what="what the last process noted and did not live to put into the tables is thrown away",
        path="hean/journal/writer.py",
        old="        if self._unsure:\n            self._commit_group([])\n",
        new="        self._unsure = False\n        self._connection.execute(sql.DROP_INTAKE)\n",
    ),
    Tooth(
        name="crashes_forgotten_with_the_slot",
        what="an order that retires between its actor's crashes is brought back to the same message for ever",
        path="hean/actors/supervisor.py",
        old="        crashes = message.crashes + 1\n",
        new="        crashes = 1 if slot is None else slot.crashes + 1\n",
    ),
)
