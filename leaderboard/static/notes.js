/* Nothing moves on this page but the line in the header. */

keepLooking(async () => showNow((await ask("/view/live")).body));
